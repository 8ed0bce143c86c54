// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of failures.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/util/error.hpp"
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

// Makes changes of a file fail.
class Breaker : public FileObserver {
 public:
  std::function<int(const FileChange &)> fails = [](const FileChange &) { return 0; };
  uint64_t begin(FileChange change) override {
    if (int error = fails(change); error != 0) util::fail_os(error, "broken on purpose");
    return 0;
  }
  void done(uint64_t) override {}
};

// The errno of the util::Error that it throws, else 0.
template <typename Body>
int error_of(Body &&body) {
  try {
    body();
  } catch (const util::Error &e) {
    return e.errnum();
  }
  return 0;
}

}  // namespace qcow2::test
