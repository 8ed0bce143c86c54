// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"

namespace util {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd open_file(const std::string &path, int flags, mode_t mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) fail_os(errno, "cannot open {}", path);
  return Fd(fd);
}

namespace {

// Reads until the buffer is full or the file ends; returns how many bytes were read.
size_t read_some(const Fd &fd, std::span<std::byte> buffer, uint64_t offset,
                 const std::string &path) {
  size_t done = 0;
  while (done < buffer.size()) {
    ssize_t n = ::pread(fd.get(), buffer.data() + done, buffer.size() - done,
                        static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail_os(errno, "cannot read {} bytes at offset {} of {}", buffer.size() - done, offset + done,
              path);
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace

void read_at(const Fd &fd, std::span<std::byte> buffer, uint64_t offset, const std::string &path) {
  if (read_some(fd, buffer, offset, path) < buffer.size()) {
    fail(EIO, "{} ends before offset {}: it has been truncated", path, offset + buffer.size());
  }
}

void read_at_or_zero(const Fd &fd, std::span<std::byte> buffer, uint64_t offset,
                     const std::string &path) {
  size_t done = read_some(fd, buffer, offset, path);
  std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(done), buffer.end(), std::byte{0});
}

void write_at(const Fd &fd, std::span<const std::byte> buffer, uint64_t offset,
              const std::string &path) {
  size_t done = 0;
  while (done < buffer.size()) {
    ssize_t n = ::pwrite(fd.get(), buffer.data() + done, buffer.size() - done,
                         static_cast<off_t>(offset + done));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail_os(errno, "cannot write {} bytes at offset {} of {}", buffer.size() - done,
              offset + done, path);
    }
    done += static_cast<size_t>(n);
  }
}

bool readable_by(int fd, std::optional<std::chrono::steady_clock::time_point> deadline) {
  for (;;) {
    int wait_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          *deadline - std::chrono::steady_clock::now());
      wait_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
    }
    pollfd p = {fd, POLLIN, 0};
    const int ready = ::poll(&p, 1, wait_ms);
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) return true;
  }
}

}  // namespace util
