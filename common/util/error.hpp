// SPDX-License-Identifier: BSD-3-Clause
//
// The exception that all rooms throw: a message for the user and an errno for the NBD client.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace util {

// what() says what failed, on what, and what to do next, without a final full stop. errnum() is what
// the NBD client is told.
class Error : public std::runtime_error {
 public:
  Error(int errnum, const std::string &message) : std::runtime_error(message), errnum_(errnum) {}
  int errnum() const noexcept { return errnum_; }

 private:
  int errnum_;
};

// throw Error(errnum, formatted message).
template <typename... Args>
[[noreturn]] void fail(int errnum, fmt::format_string<Args...> format, Args &&...args) {
  throw Error(errnum, fmt::format(format, std::forward<Args>(args)...));
}

// The same for a failed system call: ": No space left on device" is added. errnum is the saved errno.
template <typename... Args>
[[noreturn]] void fail_os(int errnum, fmt::format_string<Args...> format, Args &&...args) {
  throw Error(errnum,
              fmt::format(format, std::forward<Args>(args)...) + ": " + std::strerror(errnum));
}

}  // namespace util
