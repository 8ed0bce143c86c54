// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"

namespace util {

std::optional<std::string> read_file(const std::string &path, size_t max_bytes) {
  int raw = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (raw < 0 && errno == ENOENT) return std::nullopt;
  if (raw < 0) fail_os(errno, "cannot open {}", path);
  Fd fd(raw);

  std::string content;
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_os(errno, "cannot read {}", path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > max_bytes) fail(EFBIG, "{} is longer than {} bytes", path, max_bytes);
  }
}

std::string directory_of(const std::string &path) {
  auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string resolve_links(const std::string &path) {
  namespace fs = std::filesystem;
  constexpr int most_links = 40;  // as the kernel has it
  fs::path file = path;
  for (int links = 0; links < most_links; ++links) {
    std::error_code error;
    fs::path directory = fs::canonical(directory_of(file.string()), error);
    if (error) fail_os(error.value(), "cannot open {}", file.string());
    file = directory / file.filename();
    fs::path target = fs::read_symlink(file, error);
    if (error) return file.string();  // it is no link, or does not exist
    file = directory / target;
  }
  fail_os(ELOOP, "cannot open {}", path);
}

}  // namespace util
