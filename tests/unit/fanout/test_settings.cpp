// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "filters/fanout/settings.hpp"

using fanout::SettingsList;

TEST_CASE(
    "what precedes the first destination is the default, what follows applies to the latest") {
  SettingsList list;
  list.current().concurrency = 7;
  list.add("nbd://a/x");
  list.current().concurrency = 2;
  list.add("nbd://b/x");
  list.set_name("second");
  list.current().connections = 9;
  list.complete();
  REQUIRE(list.list().size() == 2);
  CHECK(list.list()[0].concurrency == 2);
  CHECK(list.list()[0].connections == 4);
  CHECK(list.list()[0].name == "nbd://a/x");
  CHECK(list.list()[1].concurrency == 7);
  CHECK(list.list()[1].connections == 9);
  CHECK(list.list()[1].name == "second");
}

TEST_CASE("an invalid list is refused, with the reason") {
  SettingsList list;
  CHECK_THROWS_WITH(list.set_name("x"),
                    Catch::Contains("fanout-name=x") && Catch::Contains("follow"));
  CHECK_THROWS_WITH(list.complete(), Catch::Contains("fanout-dest"));
  CHECK_THROWS_WITH(list.add(""), Catch::Contains("fanout-dest="));
  list.add("nbd://a/x");
  CHECK_THROWS_WITH(list.set_name(""), Catch::Contains("fanout-name="));
  CHECK_THROWS_WITH(list.set_name("a\nb"), Catch::Contains("control"));
  list.add("nbd://user@a/x?tls-psk-file=/k");
  CHECK_THROWS_WITH(list.complete(), Catch::Contains("two destinations are called nbd://a/x"));
}
