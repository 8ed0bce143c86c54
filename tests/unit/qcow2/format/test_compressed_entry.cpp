// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>

#include "plugins/qcow2/format/compressed_entry.hpp"

using namespace qcow2;

TEST_CASE("a compressed entry has the bits of the specification, and comes back as it was") {
  // 64 KiB clusters: x is 54.
  CHECK(compressed_entry(0x50000, 512, 16) == (compressed | 0x50000));
  CHECK(compressed_entry(0x501ff, 2, 16) == (compressed | uint64_t{1} << 54 | 0x501ff));
  CHECK(compressed_entry(0x50001, 65535, 16) == (compressed | uint64_t{127} << 54 | 0x50001));
  CHECK(descriptor_offset_bits(21) == 49);
  CHECK(descriptor_offset_bits(9) == 61);
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    uint32_t bits = min_cluster_bits + random() % (max_cluster_bits - min_cluster_bits + 1);
    uint64_t length = random() % max_compressed(bits) + 1;
    uint64_t offset = random() % (uint64_t{1} << 48);
    Entry entry = compressed_entry(offset, length, bits);
    CHECK(is_compressed(entry));
    CHECK_FALSE(reads_zero(entry));
    CHECK_FALSE(is_data(entry));
    CHECK_FALSE(is_unallocated(entry));
    CHECK(host_offset(entry) == 0);
    CompressedRange range = compressed_range(entry, bits);
    CHECK(range.offset == offset);
    CHECK(range.length >= length);
    CHECK(range.length - length < sector);
    CHECK(range.end() % sector == 0);
    CHECK(range.length < (uint64_t{1} << bits) + sector);
  }
}
