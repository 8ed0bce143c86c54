// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/image_name.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "common/durability/replace_file.hpp"

namespace qcow2 {

std::string partial_name(const std::string &file) {
  return file + ".partial";
}

bool is_named(const util::Fd &file, const std::string &path) {
  struct stat open = {}, named = {};
  if (::stat(path.c_str(), &named) < 0) return errno != ENOENT && errno != ENOTDIR;
  if (::fstat(file.get(), &open) < 0) return true;
  return open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

void ImageName::make_partial() {
  if (is_final_.load()) durability::rename_file(file_, partial_name(file_), false);
  is_final_.store(false);
}

void ImageName::make_final(bool replace) {
  if (!is_final_.load()) durability::rename_file(partial_name(file_), file_, replace);
  is_final_.store(true);
}

}  // namespace qcow2
