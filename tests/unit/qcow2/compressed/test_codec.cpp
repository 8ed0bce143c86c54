// SPDX-License-Identifier: BSD-3-Clause
//
// Single clusters: the descriptor, the two codecs, and data that lies.
#include <zstd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

constexpr CompressionType types[] = {CompressionType::zlib, CompressionType::zstd};

Bytes compress(CompressionType type, int level, const Bytes &cluster) {
  Bytes out(cluster.size());
  Compressor compressor(type, level, cluster.size());
  out.resize(compressor.compress(cluster, out));
  return out;
}

}  // namespace

TEST_CASE("a descriptor has the bits of the specification, and comes back as it was") {
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

TEST_CASE("what is compressed comes back, whatever follows it") {
  for (auto type : types) {
    for (size_t size : {512u, 4096u, 65536u, 2u << 20}) {
      Bytes cluster = random_bytes(size, size);
      std::fill(cluster.begin() + size / 4, cluster.end(), std::byte{7});
      for (int level : {min_level(type), default_level(type), max_level(type)}) {
        Bytes data = compress(type, level, cluster);
        REQUIRE(data.size() > 0);
        REQUIRE(data.size() < size);
        Bytes junk = random_bytes(600, 5);
        data.insert(data.end(), junk.begin(), junk.end());
        Bytes back(size);
        CHECK(Decompressor(type).decompress(data, back) == nullptr);
        CHECK((back == cluster));
      }
    }
  }
}

TEST_CASE("a cluster that does not shrink is not compressed") {
  for (auto type : types) {
    Bytes cluster = random_bytes(65536, 3), out(65535);
    CHECK(Compressor(type, default_level(type), 65536).compress(cluster, out) == 0);
    CHECK(Compressor(type, max_level(type), 65536).compress(Bytes(512), std::span(out).first(3)) ==
          0);
  }
}

TEST_CASE("data that lies is refused with the reason") {
  for (auto type : types) {
    Decompressor decompressor(type);
    Bytes cluster = random_bytes(65536, 1);
    std::fill(cluster.begin() + 20000, cluster.end(), std::byte{7});
    Bytes data = compress(type, default_level(type), cluster), back(65536), small(65535),
          large(65537);
    CHECK(decompressor.decompress(std::span(data).first(data.size() - 9), back) != nullptr);
    CHECK(decompressor.decompress(Bytes(data.size()), back) != nullptr);
    CHECK(decompressor.decompress({}, back) != nullptr);
    CHECK_THAT(decompressor.decompress(data, small), Catch::Contains("more than a cluster"));
    CHECK(decompressor.decompress(data, large) != nullptr);
    std::mt19937_64 random(1);
    for (int i = 0; i < 3000; ++i) {  // wrong, but within bounds (the sanitizers look)
      Bytes copy = data;
      for (int k = 0; k < 3; ++k)
        copy[random() % (i % 2 == 0 ? 100 : copy.size())] = std::byte(random());
      decompressor.decompress(copy, back);
    }
    CHECK(decompressor.decompress(data, back) == nullptr);
    CHECK((back == cluster));
  }
}

TEST_CASE("several zstd frames may make a cluster, and a bomb is not let off") {
  Bytes cluster = random_bytes(65536, 1), data(200000), back(65536);
  size_t n = 0;
  for (size_t at = 0; at < cluster.size(); at += 16384) {
    n += ZSTD_compress(&data[n], data.size() - n, &cluster[at], 16384, 1);
  }
  Decompressor decompressor(CompressionType::zstd);
  CHECK(decompressor.decompress(data, back) == nullptr);
  CHECK((back == cluster));
  Bytes zeroes(256 << 20);
  Bytes bomb(ZSTD_compressBound(zeroes.size()));
  n = ZSTD_compress(bomb.data(), bomb.size(), zeroes.data(), zeroes.size(), 3);
  CHECK(n < 65536);
  CHECK_THAT(decompressor.decompress(std::span(bomb).first(n), back), Catch::Contains("more than"));
}
