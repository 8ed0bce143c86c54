// SPDX-License-Identifier: BSD-3-Clause
#include "concerned.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

bool is_concerned(int fd) {
  const char *directory = std::getenv("STORAGE_OF");
  if (directory == nullptr) return false;
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
  return !error && path.parent_path() == directory;
}
