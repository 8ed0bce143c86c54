// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/extents/extent_map.hpp"
#include "common/extents/map_json.hpp"
#include "common/util/error.hpp"

using extents::Extent;
using extents::ExtentMap;

TEST_CASE("a map is the same after it is written and read") {
  ExtentMap map(1 << 20);
  map.set({65536, 65536}, extents::hole | extents::zero);
  map.set({262144, 4096}, extents::zero);
  ExtentMap again = extents::parse_map(extents::format_map(map), "test");
  CHECK(again.slice({0, again.size()}) == map.slice({0, map.size()}));
}

TEST_CASE("other members of a map entry are ignored") {
  auto map = extents::parse_map(
      R"([{"description": {"type": 9}, "type": 3, "x": [[1]], "length": 10, "offset": 0}])", "f");
  CHECK(map.slice({0, 20}) == std::vector<Extent>{{0, 10, 3}});
}

TEST_CASE("an invalid map is refused with its name") {
  const char *bad[] = {
      "",
      "{}",
      "[1]",
      R"([{"offset": 0, "length": 10}])",
      R"([{"offset": 0, "length": -1, "type": 0}])",
      R"([{"offset": 5, "length": 10, "type": 0}])",
      R"([{"offset": 0, "length": 10, "type": 0}, {"offset": 20, "length": 10, "type": 0}])",
      R"([{"offset": 0, "length": 18446744073709551615, "type": 0}])",
      R"([{"offset": 0, "length": 10, "type": 0)",
      R"([{"offset": 0, "length": 10, "type": 0}] 1)",
      R"([[{"offset": 0, "length": 10, "type": 0}]])",
      R"([{"offset": 0, "length": {"length": 10}, "type": 0}])",
      "7",
  };
  for (const char *text : bad) {
    INFO(text);
    CHECK_THROWS_WITH(extents::parse_map(text, "delta.json"), Catch::StartsWith("delta.json"));
  }
}
