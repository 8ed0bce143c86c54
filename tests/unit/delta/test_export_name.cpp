// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/delta/export_name.hpp"

using namespace delta;

TEST_CASE("an export name and its honest name lead to the same export below") {
  CHECK(parse_export_name("").lower == "");
  CHECK_FALSE(parse_export_name("").honest);
  CHECK(parse_export_name("honest").honest);
  CHECK(parse_export_name("honest").lower == "");
  CHECK(parse_export_name("honest/2000").lower == "2000");
  CHECK_FALSE(parse_export_name("honesty").honest);
  CHECK(parse_export_name(honest_name("2000")).lower == "2000");
  CHECK(honest_name("") == "honest");
}
