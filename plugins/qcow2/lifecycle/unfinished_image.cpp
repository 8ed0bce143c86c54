// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/unfinished_image.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"

namespace qcow2 {

namespace {

constexpr std::string_view infix = ".tmp-";

bool is_unfinished_name(const std::string &name, const std::string &of) {
  const std::string prefix = of + std::string(infix);
  if (!name.starts_with(prefix)) return false;
  std::string rest = name.substr(prefix.size());
  return rest == to_text(uuid_from(rest));
}

void remove_unless_held(const std::string &path) {
  util::Fd fd = util::open_file(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  struct stat st = {};
  if (::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode)) return;
  lock_image(fd, path, Use::write);
  ::unlink(path.c_str());
}

}  // namespace

std::string unfinished_name(const std::string &path) {
  return path + std::string(infix) + to_text(random_uuid());
}

void remove_unfinished_images(const std::string &path) noexcept {
  try {
    const std::string of = std::filesystem::path(path).filename();
    for (const auto &entry : std::filesystem::directory_iterator(util::directory_of(path))) {
      if (!is_unfinished_name(entry.path().filename(), of)) continue;
      try {
        remove_unless_held(entry.path());
      } catch (const util::Error &) {
      }
    }
  } catch (const std::exception &) {
  }
}

}  // namespace qcow2
