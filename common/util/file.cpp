// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <span>

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

namespace {

void write_and_rename(const std::string &path, const std::function<void(const Write &)> &content,
                      bool sync) {
  constexpr size_t enough = 1u << 18;  // bytes that are written at once
  std::string temporary = path + ".tmp";
  {
    Fd fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    std::string gathered;
    uint64_t offset = 0;
    auto pass_on = [&] {
      write_at(fd, std::as_bytes(std::span(gathered)), offset, temporary);
      offset += gathered.size();
      gathered.clear();
    };
    content([&](std::string_view part) {
      gathered += part;
      if (gathered.size() >= enough) pass_on();
    });
    pass_on();
    if (sync && ::fsync(fd.get()) < 0) fail_os(errno, "cannot sync {}", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) < 0) {
    fail_os(errno, "cannot rename {} to {}", temporary, path);
  }
}

}  // namespace

void replace_file(const std::string &path, std::string_view content) {
  replace_file(path, [&](const Write &write) { write(content); });
}

void replace_file(const std::string &path, const std::function<void(const Write &)> &content) {
  write_and_rename(path, content, true);
  std::string directory = directory_of(path);
  Fd fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) < 0) fail_os(errno, "cannot sync {}", directory);
}

void replace_file_unsynced(const std::string &path, std::string_view content) {
  write_and_rename(
      path, [&](const Write &write) { write(content); }, false);
}

}  // namespace util
