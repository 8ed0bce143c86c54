// SPDX-License-Identifier: BSD-3-Clause
//
// What is left of a write that has failed.
#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>

#include "tests/unit/qcow2/failure_support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("the space of a write that failed is given back") {
  std::optional<Compression> compression;
  SECTION("as it is") {}
  SECTION("compressed") {
    compression = Compression{CompressionType::zstd, 1};
  }
  Directory directory;
  Breaker breaker;
  Settings settings;
  settings.observer = &breaker;
  settings.compression = compression;
  auto image = create(directory.file("a"), 16 << 20, 65536, "", "", settings);
  std::vector<extents::Range> failed, punched;
  breaker.fails = [&](const FileChange &c) {
    if (c.kind == FileChange::Kind::punch) punched.push_back({c.offset, c.length});
    if (c.kind != FileChange::Kind::write || c.bytes.size() < 65536) return 0;
    failed.push_back({c.offset, c.bytes.size()});
    return ENOSPC;
  };
  // Noise, which is stored as it is.
  CHECK(error_of([&] { image->write(random_bytes(3 * 65536, 1), 65536); }) == ENOSPC);
  REQUIRE(failed.size() == 1);
  CHECK(punched == failed);
}

TEST_CASE("a write that failed counts as one after the flush") {
  Directory directory;
  Breaker breaker;
  Settings settings;
  settings.observer = &breaker;
  auto image = create(directory.file("a"), 1 << 20, 65536, "", "", settings);
  image->flush();
  REQUIRE(image->is_flushed());
  breaker.fails = [](const FileChange &c) { return c.kind == FileChange::Kind::write ? EIO : 0; };
  CHECK(error_of([&] { image->write(random_bytes(100, 1), 0); }) == EIO);
  CHECK_FALSE(image->is_flushed());
}

TEST_CASE("the space of a slice is asked for again after there was none, and once") {
  Directory directory;
  Breaker breaker;
  Settings settings;
  settings.observer = &breaker;
  auto image = create(directory.file("a"), 1 << 30, 65536, "", "", settings);
  image->write(random_bytes(100, 1), 0);
  std::vector<uint64_t> asked;
  int error = ENOSPC;
  breaker.fails = [&](const FileChange &c) {
    if (c.kind != FileChange::Kind::reserve || c.length != 4096) return 0;
    asked.push_back(c.offset);
    return error;
  };
  auto write = [&](uint64_t n) {
    return error_of([&] { image->write(random_bytes(100, 1), n * 65536); });
  };
  CHECK(write(600) == ENOSPC);
  CHECK(write(601) == ENOSPC);
  error = 0;
  CHECK(write(601) == 0);
  CHECK(write(600) == 0);
  CHECK(asked == std::vector<uint64_t>(3, asked[0]));
}
