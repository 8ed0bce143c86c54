// SPDX-License-Identifier: BSD-3-Clause
//
// The two codecs, and compressed data that is damaged.
#include <zstd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "plugins/qcow2/compressed/codec.hpp"
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

TEST_CASE("what is compressed comes back, whatever follows it", "[single]") {
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
    // A newer library may save some bytes even of this.
    Bytes cluster = random_bytes(65536, 3), out(65000);
    CHECK(Compressor(type, default_level(type), 65536).compress(cluster, out) == 0);
    CHECK(Compressor(type, max_level(type), 65536).compress(Bytes(512), std::span(out).first(3)) ==
          0);
  }
}

TEST_CASE("damaged data is refused with the reason") {
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

TEST_CASE("a cluster may be several zstd frames, and a frame of far more than a cluster is refused",
          "[single]") {
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
