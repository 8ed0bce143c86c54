// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "plugins/qcow2/format/refcount_block.hpp"

using namespace qcow2;

TEST_CASE("refcounts of every width are stored where QEMU looks for them") {
  for (uint32_t order = 0; order <= 6; ++order) {
    std::vector<std::byte> block(512, std::byte{0xff});
    for (uint64_t i = 0; i < 512u * 8 >> order; ++i) store_refcount(block, order, i, i % 2);
    auto at = [&](size_t i) { return std::to_integer<unsigned>(block[i]); };
    if (order == 0) CHECK(at(0) == 0xaa);
    if (order == 1) CHECK(at(0) == 0x44);
    if (order == 2) CHECK(at(511) == 0x10);
    if (order < 3) continue;
    size_t bytes = size_t{1} << (order - 3);
    for (size_t i = 0; i < 512; ++i) CHECK(at(i) == (i % (2 * bytes) == 2 * bytes - 1 ? 1 : 0));
  }
}
