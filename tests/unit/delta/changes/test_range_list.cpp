// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <sstream>

#include "common/util/error.hpp"
#include "filters/delta/changes/range_list.hpp"

namespace {

std::vector<extents::Range> read(const std::string &text) {
  std::istringstream in(text);
  return delta::read_range_list(in, "delta-map=list");
}

}  // namespace

TEST_CASE("a list has an offset and a length on each line") {
  CHECK(read("") == std::vector<extents::Range>{});
  CHECK(read("0 512\n\n# comment\n  4096\t65536 data\r\n0x10000 0X200") ==
        std::vector<extents::Range>{{0, 512}, {4096, 65536}, {65536, 512}});
}

TEST_CASE("a line that is not an offset and a length is refused with its number") {
  for (const char *bad : {"1", "1 x", "-1 5", "1.5 2", "0x 1", "18446744073709551616 1", "1 2k"}) {
    INFO(bad);
    CHECK_THROWS_WITH(read(std::string("0 512\n") + bad + "\n"),
                      Catch::StartsWith("delta-map=list: line 2 ") && Catch::Contains(bad));
  }
}
