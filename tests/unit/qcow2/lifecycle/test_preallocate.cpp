// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("a preallocated image has a place for every cluster, and is sound", "[single]") {
  Directory directory;
  for (auto how : {Preallocate::metadata, Preallocate::falloc}) {
    std::string path = directory.file("a.qcow2");
    Settings settings;
    settings.preallocate = how;
    std::filesystem::remove(path);
    constexpr uint64_t size = (33 << 20) + 512;
    auto image = create(path, size, 65536, "", "", settings);
    CHECK(read_all(*image) == std::vector<std::byte>(size));
    CHECK(extents_of(*image, {0, size}).size() == 1);
    auto data = random_bytes(100000, 1);
    uint64_t length = std::filesystem::file_size(path);
    image->write(data, 12345);
    CHECK(std::filesystem::file_size(path) == length);
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}
