// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/fanout/held_export.hpp"

using fanout::HeldExport;

TEST_CASE("held export: that of the first client, until another opens the destinations") {
  HeldExport held;
  held.client_came("one", true);
  CHECK(held.is("one"));
  held.client_came("two", false);
  CHECK(held.is("one"));
  CHECK_THROWS_WITH(held.claim("two"), Catch::Contains("\"one\"") && Catch::Contains("\"two\""));
  held.client_came("two", true);
  CHECK(held.is("two"));
}

TEST_CASE("held export: once it is written, or restored from a state file, it stays") {
  HeldExport written;
  written.client_came("one", true);
  written.claim("one");
  written.client_came("two", true);
  CHECK(written.is("one"));
  CHECK_THROWS_AS(written.claim("two"), util::Error);

  HeldExport restored;
  restored.restore("");
  restored.client_came("two", true);
  CHECK(restored.is(""));
}
