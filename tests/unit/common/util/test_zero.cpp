// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <vector>

#include "common/util/zero.hpp"

TEST_CASE("a byte that is not zero is found at any position") {
  for (size_t size : {0u, 1u, 15u, 16u, 17u, 511u, 512u, 4096u}) {
    std::vector<std::byte> buffer(size, std::byte{0});
    CHECK(util::is_zero(buffer));
    size_t missed = 0;
    for (size_t i = 0; i < size; ++i) {
      buffer[i] = std::byte{1};
      if (util::is_zero(buffer)) ++missed;
      buffer[i] = std::byte{0};
    }
    CHECK(missed == 0);
  }
}
