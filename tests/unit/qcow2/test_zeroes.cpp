// SPDX-License-Identifier: BSD-3-Clause
//
// Zeroes that are stored without data.
#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Bytes = std::vector<std::byte>;

TEST_CASE("zeroes in a part of a cluster take no space if the rest of it reads as zeroes") {
  constexpr uint64_t cluster = 4096;
  Directory directory;
  // The backing file: data in cluster 1 from 1024 to 2048, and all of cluster 2.
  Bytes base(8 * cluster);
  std::fill_n(base.begin() + cluster + 1024, 1024, std::byte{5});
  std::fill_n(base.begin() + 2 * cluster, cluster, std::byte{6});
  write_file(directory.file("base"), base);
  for (bool write : {false, true}) {
    const std::string path = directory.file(write ? "written" : "zeroed");
    auto image = create(path, base.size(), cluster, directory.file("base"), "raw");
    Bytes model = base;
    auto zero = [&](uint64_t offset, uint64_t length) {
      if (write) {
        image->write(Bytes(length), offset);
      } else {
        image->zero(offset, length);
      }
      std::fill_n(model.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
    };
    zero(512, 100);                        // zeroes over zeroes
    zero(cluster + 1000, 1100);            // over all the data of its cluster
    zero(3 * cluster + 100, 3 * cluster);  // no cluster but two is whole
    using List = std::vector<extents::Extent>;
    constexpr auto zeroes = extents::hole | extents::zero;
    CHECK(extents_of(*image, {0, 2 * cluster}) == List{{0, 2 * cluster, zeroes}});
    CHECK(extents_of(*image, {3 * cluster, 4 * cluster}) ==
          List{{3 * cluster, 4 * cluster, zeroes}});
    CHECK((read_all(*image) == model));
    zero(2 * cluster + 512, 512);  // the rest is not zero
    CHECK(extents_of(*image, {2 * cluster, cluster}).back().type == extents::data);
    CHECK((read_all(*image) == model));
    image->write(Bytes(100, std::byte{7}), cluster);  // over a cluster that is zero now
    std::fill_n(model.begin() + cluster, 100, std::byte{7});
    CHECK((read_all(*image) == model));
    image->finalise();
    CHECK(check(path + " -U") == 0);
  }
}

TEST_CASE(
    "two threads zero and write different parts of one cluster over a backing file, and both "
    "count") {
  constexpr uint64_t cluster = 4096, clusters = 400;
  Directory directory;
  Bytes model(clusters * cluster);
  for (uint64_t c = 0; c < clusters; ++c) {
    std::fill_n(model.begin() + static_cast<ptrdiff_t>(c * cluster), 1024, std::byte{5});
  }
  write_file(directory.file("base"), model);
  auto image = create(directory.file("over"), model.size(), cluster, directory.file("base"), "raw");
  {
    std::jthread zeroes([&] {
      for (uint64_t c = 0; c < clusters; ++c) image->zero(c * cluster, 1024);
    });
    std::jthread data([&] {
      for (uint64_t c = 0; c < clusters; ++c) {
        image->write(Bytes(512, std::byte{7}), c * cluster + 2048);
      }
    });
  }
  for (uint64_t c = 0; c < clusters; ++c) {
    auto at = model.begin() + static_cast<ptrdiff_t>(c * cluster);
    std::fill_n(at, 1024, std::byte{0});
    std::fill_n(at + 2048, 512, std::byte{7});
  }
  CHECK((read_all(*image) == model));
}
