// SPDX-License-Identifier: BSD-3-Clause
#include "common/util/random.hpp"

#include <sys/random.h>
#include <sys/types.h>

#include <cerrno>
#include <vector>

#include "common/util/error.hpp"

namespace util {

void fill_random(std::span<std::byte> bytes) {
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    fail_os(errno, "getrandom");
  }
}

std::string random_hex(size_t bytes) {
  std::vector<std::byte> random(bytes);
  fill_random(random);
  std::string text;
  for (std::byte b : random) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

}  // namespace util
