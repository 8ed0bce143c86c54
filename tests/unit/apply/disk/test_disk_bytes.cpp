// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/disk/destination_bytes.hpp"
#include "filters/apply/disk/disk_bytes.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;

TEST_CASE("a read is widened to whole blocks, but not beyond the end of the disk") {
  auto widened = [](uint64_t offset, size_t length) {
    std::vector<std::byte> buffer(length);
    return whole_blocks({offset, buffer}, 512, 1500);
  };
  CHECK(widened(0, 512) == Range{0, 512});
  CHECK(widened(1, 1) == Range{0, 512});
  CHECK(widened(511, 2) == Range{0, 1024});
  CHECK(widened(1024, 476) == Range{1024, 476});
}

TEST_CASE("a destination with blocks is read in whole ones, at any offset") {
  Content content(1500);
  for (size_t i = 0; i < content.size(); ++i) content[i] = std::byte(i % 251);
  FakeDestination destination(content);
  destination.block = 512;
  DestinationBytes bytes(destination);
  std::vector<std::byte> a(700), b(512);
  std::vector<DiskRead> reads = {{300, a}, {512, b}};
  bytes.read(reads);
  CHECK(std::equal(a.begin(), a.end(), content.begin() + 300));
  CHECK(std::equal(b.begin(), b.end(), content.begin() + 512));
  content.assign(content.size(), std::byte{0});
  content[900] = std::byte{1};
  destination.now = content;
  std::vector<Range> ranges = {{5, 890}, {890, 11}, {901, 599}};
  CHECK(are_zero(bytes, ranges) == std::vector<bool>{true, false, true});
}
