// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace testing {

// An empty directory of the test's own, in that of temporary files (TMPDIR), removed at its end.
class Directory {
 public:
  Directory() {
    std::string name = std::filesystem::temp_directory_path() / "nbdkit-replicate-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory &) = delete;
  Directory &operator=(const Directory &) = delete;

  std::string path() const { return path_; }
  std::string file(const std::string &name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace testing
