// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("two threads write different halves of one cluster at the same time, and both survive") {
  Directory directory;
  write_file(directory.file("base"), random_bytes(1 << 20, 5));
  for (bool over : {false, true}) {
    constexpr uint64_t cluster = 4096;
    constexpr uint64_t clusters = 200;
    std::string path = directory.file(over ? "over" : "alone");
    auto image = over ? create(path, clusters * cluster, cluster, directory.file("base"), "raw")
                      : create(path, clusters * cluster, cluster);
    auto data = random_bytes(clusters * cluster, 9);
    auto half = [&](uint64_t which) {
      for (uint64_t c = 0; c < clusters; ++c) {
        uint64_t at = c * cluster + which * cluster / 2;
        image->write(std::span(data).subspan(at, cluster / 2), at);
      }
    };
    { std::jthread a(half, 0), b(half, 1); }
    CHECK((read_all(*image) == data));
  }
}

TEST_CASE("what no client wrote is not in the file, and zeroes take no space", "[single]") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  auto image = create(path, 1ull << 40, 65536);
  image->zero(0, 1ull << 40);
  image->write(std::vector<std::byte>(1 << 20), 1ull << 39);
  CHECK(std::filesystem::file_size(path) < 1 << 20);
  auto data = random_bytes(1 << 20, 3);
  image->write(data, 1ull << 39);
  image->zero(1ull << 39, 1 << 20);
  image->write(data, 0);
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  image = reopen(path);
  auto list = extents_of(*image, {0, 1ull << 40});
  CHECK(list.front() == extents::Extent{0, 1 << 20, extents::data});
  CHECK(list.size() == 2);
  CHECK(list.back().type == (extents::hole | extents::zero));
}

TEST_CASE("a last cluster of zeroes that is not whole becomes a zero cluster") {
  Directory directory;
  auto image = create(directory.file("a"), 65536 + 512, 65536);
  image->write(random_bytes(65536 + 512, 1), 0);
  image->write(std::vector<std::byte>(512), 65536);
  auto list = extents_of(*image, {0, 65536 + 512});
  REQUIRE(list.size() == 2);
  CHECK(list[1] == extents::Extent{65536, 512, extents::hole | extents::zero});
}
