// SPDX-License-Identifier: BSD-3-Clause
//
// A file descriptor that closes itself, complete reads and writes, and waiting for one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace util {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd &operator=(Fd &&other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC; throws Error naming the path.
Fd open_file(const std::string &path, int flags, mode_t mode = 0666);

// Read or write all of the buffer at the offset. `path` is for the message alone. read_at throws EIO
// at the end of the file; read_at_or_zero fills what lies beyond it with zeroes.
void read_at(const Fd &fd, std::span<std::byte> buffer, uint64_t offset, const std::string &path);
void read_at_or_zero(const Fd &fd, std::span<std::byte> buffer, uint64_t offset,
                     const std::string &path);
void write_at(const Fd &fd, std::span<const std::byte> buffer, uint64_t offset,
              const std::string &path);

// Waits until the file descriptor is readable or at its end; false if it is not by the deadline. Signals do
// not end the wait, and do not make it longer. May be called from a signal handler. errno is set if poll(2)
// fails; then it returns true, for the next read tells.
bool readable_by(int fd, std::optional<std::chrono::steady_clock::time_point> deadline);

}  // namespace util
