// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/file/image_name.hpp"

#include "common/durability/replace_file.hpp"

namespace qcow2 {

std::string partial_name(const std::string &file) {
  return file + ".partial";
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
