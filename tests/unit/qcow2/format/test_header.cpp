// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cstring>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"

using namespace qcow2;

namespace {

Header example(uint32_t cluster_bits = 16, uint64_t size = 20ull << 30) {
  Header h;
  h.cluster_bits = cluster_bits;
  h.size = size;
  lay_out(h);
  return h;
}

uint64_t file_size(const Header &h) {
  return initial_clusters(h) << h.cluster_bits;
}

// Decodes an example in which one field has been changed.
void decode_with(size_t at, size_t width, uint64_t value) {
  Header h = example();
  auto bytes = encode(h);
  for (size_t i = 0; i < width; ++i) bytes[at + width - 1 - i] = std::byte(value >> (8 * i) & 0xff);
  decode(bytes, file_size(h), "x.qcow2");
}

}  // namespace

TEST_CASE("a header is what the specification says, byte by byte") {
  Header h = example();
  auto bytes = encode(h);
  REQUIRE(bytes.size() == 65536);
  const unsigned char start[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
  CHECK(std::memcmp(bytes.data(), start, sizeof start) == 0);
  CHECK(load_be<uint64_t>(&bytes[8]) == 0);
  CHECK(load_be<uint64_t>(&bytes[24]) == 20ull << 30);
  CHECK(load_be<uint64_t>(&bytes[36]) >> 32 == 40);   // L1 entries
  CHECK(load_be<uint64_t>(&bytes[40]) == 3 * 65536);  // header, refcount table, block, then L1
  CHECK(load_be<uint64_t>(&bytes[48]) == 1 * 65536);
  CHECK(load_be<uint64_t>(&bytes[56]) == 1ull << 32);  // one refcount table cluster, no snapshots
  CHECK(load_be<uint64_t>(&bytes[96]) == (4ull << 32 | 112));
}

TEST_CASE("a header comes back as it was") {
  Header h = example(12, 3000 * 512);
  h.backing_file = "base.raw";
  h.backing_format = "raw";
  h.incompatible = dirty_bit;
  h.compatible = 1;
  Header back = decode(encode(h), file_size(h), "x");
  CHECK(back.backing_file == "base.raw");
  CHECK(back.backing_format == "raw");
  CHECK(back.size == h.size);
  CHECK(back.cluster_bits == 12);
  CHECK(back.l1_offset == h.l1_offset);
  CHECK(back.refcount_table_offset == h.refcount_table_offset);
  CHECK(back.incompatible == dirty_bit);
  CHECK(back.compatible == 1);
}

TEST_CASE("a backing name that does not fit is refused") {
  Header h = example(9, 1 << 20);
  h.backing_format = "qcow2";
  h.backing_file = std::string(376, 'a');
  CHECK(decode(encode(h), file_size(h), "x").backing_file.size() == 376);
  h.backing_file += 'a';
  CHECK_THROWS_WITH(encode(h), Catch::Contains("too long"));
}

TEST_CASE("a hostile header is refused with what is wrong") {
  using Catch::Contains;
  CHECK_NOTHROW(decode_with(72, 8, 1));  // dirty
  CHECK_NOTHROW(decode_with(72, 8, 2));  // corrupt: may be read
  CHECK_THROWS_WITH(decode_with(0, 4, 0), Contains("not a QCOW2 image"));
  CHECK_THROWS_WITH(decode_with(4, 4, 4), Contains("version 4"));
  CHECK_THROWS_WITH(decode_with(20, 4, 8), Contains("cluster_bits 8"));
  CHECK_THROWS_WITH(decode_with(20, 4, 22), Contains("cluster_bits 22"));
  CHECK_THROWS_WITH(decode_with(24, 8, 1ull << 63), Contains("too large"));
  CHECK_THROWS_WITH(decode_with(24, 8, 1ull << 50), Contains("too small"));
  CHECK_THROWS_WITH(decode_with(32, 4, 2), Contains("encrypted"));
  CHECK_THROWS_WITH(decode_with(36, 4, 0), Contains("too small"));
  CHECK_THROWS_WITH(decode_with(36, 4, 0xffffffff), Contains("at most"));
  CHECK_THROWS_WITH(decode_with(40, 8, 0x7fff'ffff'ffff'0000), Contains("L1 table"));
  CHECK_THROWS_WITH(decode_with(40, 8, 0x30001), Contains("L1 table"));
  CHECK_THROWS_WITH(decode_with(40, 8, 0), Contains("L1 table"));
  CHECK_THROWS_WITH(decode_with(48, 8, 0xffff'ffff'ffff'0000), Contains("refcount table"));
  CHECK_THROWS_WITH(decode_with(56, 4, 0), Contains("empty or too large"));
  CHECK_THROWS_WITH(decode_with(56, 4, 0x20001), Contains("empty or too large"));
  CHECK_THROWS_WITH(decode_with(72, 8, 4), Contains("external data file"));
  CHECK_THROWS_WITH(decode_with(72, 8, 8), Contains("compression"));
  CHECK_THROWS_WITH(decode_with(72, 8, 16), Contains("extended L2"));
  CHECK_THROWS_WITH(decode_with(72, 8, 1ull << 40), Contains("not supported (incompatible bits"));
  CHECK_THROWS_WITH(decode_with(96, 4, 7), Contains("refcount order"));
  CHECK_THROWS_WITH(decode_with(100, 4, 0xffffffff), Contains("is not possible"));
  CHECK_THROWS_WITH(decode_with(100, 4, 96), Contains("is not possible"));
  CHECK_THROWS_WITH(decode_with(8, 8, ~0ull), Contains("backing file name"));
  CHECK_THROWS_WITH(decode_with(8, 8, 65530), Contains("backing file name"));
  // An extension that is longer than the cluster.
  CHECK_THROWS_WITH(decode_with(112, 8, 0x6803f857'7fffffffull), Contains("does not fit"));
}

TEST_CASE("a backing file by another protocol is refused") {
  Header h = example();
  h.backing_format = "raw";
  for (const char *name : {"json:{\"driver\":\"nbd\"}", "nbd://host/export", "nbd:unix:/x"}) {
    h.backing_file = name;
    CHECK_THROWS_WITH(decode(encode(h), file_size(h), "x"), Catch::Contains("plain file"));
  }
  h.backing_file = "./a:b";
  CHECK(decode(encode(h), file_size(h), "x").backing_file == "./a:b");
}

TEST_CASE("a short file is no image") {
  auto bytes = encode(example());
  for (size_t n : {0, 4, 72, 103}) {
    CHECK_THROWS_AS(decode(std::span(bytes).first(n), n, "x"), util::Error);
  }
}
