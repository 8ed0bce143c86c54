// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of failures.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/qcow2/support.hpp"

namespace qcow2::test {

using Bytes = std::vector<std::byte>;

// Depending on the seed it compresses to a half or less, or not at all.
inline Bytes content_of(size_t length, uint64_t seed) {
  Bytes bytes = random_bytes(length, seed);
  if (seed / 2 % 4 == 0) return bytes;
  make_letters(bytes, seed / 2 % 4 * 4);
  return bytes;
}

// The disk, opened with read-only=on.
inline Bytes read_only(const std::string &path) {
  Settings settings;
  settings.path = path;
  settings.follow_backing = true;
  auto layer = open_read_only(settings);
  return read_part(*layer, 0, layer->size());
}

}  // namespace qcow2::test
