// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "tests/unit/directory.hpp"

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

}  // namespace

TEST_CASE("the tables of a new image have room, and are within QEMU's limits") {
  for (uint32_t bits = min_cluster_bits; bits <= max_cluster_bits; ++bits) {
    for (uint64_t size : {uint64_t{512}, uint64_t{1} << 20, (uint64_t{100} << 30) + 512}) {
      Header h = example(bits, size);
      CHECK(uint64_t{h.l1_entries} * (h.cluster_size() / 8) * h.cluster_size() >= size);
      CHECK(h.l1_offset % h.cluster_size() == 0);
      CHECK(h.l1_offset > h.refcount_table_offset);
      CHECK(uint64_t{h.refcount_table_clusters} << bits <= max_refcount_table_bytes);
      // One block at least, and the blocks before the L1 table count the whole file.
      uint64_t blocks = (h.l1_offset >> bits) - 1 - h.refcount_table_clusters;
      CHECK(blocks * (h.cluster_size() / 2) >= initial_clusters(h));
      Header back = decode(encode(h), file_size(h), "x");
      CHECK(back.l1_entries == h.l1_entries);
    }
  }
}

TEST_CASE("a size whose file would be too long for QEMU, or to be opened again, is refused") {
  CHECK_THROWS_WITH(example(9, 200ull << 30), Catch::Contains("larger cluster-size="));
  CHECK_THROWS_WITH(example(16, 1ull << 62), Catch::Contains("larger cluster-size="));
  CHECK_THROWS_WITH(example(16, 1000), Catch::Contains("multiple of 512"));
  CHECK_NOTHROW(example(21, 1ull << 50));
  CHECK_THROWS_WITH(example(14, 20ull << 40), Catch::Contains("larger cluster-size="));
  CHECK_THROWS_WITH(example(16, 64ull << 40), Catch::Contains("larger cluster-size="));
  CHECK_NOTHROW(example(16, 62ull << 40));  // the largest disk of VMware
}

TEST_CASE("a new image does not replace a file unasked, and leaves nothing else behind") {
  testing::Directory directory;
  std::string path = directory.file("a");
  std::ofstream(path) << "precious";
  auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(directory.path()),
                         std::filesystem::directory_iterator());
  };
  CHECK_THROWS_AS(create_file(path, example(16, 1 << 20), false), util::Error);
  CHECK(std::filesystem::file_size(path) == 8);
  CHECK(files() == 1);
  CHECK_NOTHROW(create_file(path, example(16, 1 << 20), true));
  CHECK(std::filesystem::file_size(path) > 65536);
  CHECK(files() == 1);
}
