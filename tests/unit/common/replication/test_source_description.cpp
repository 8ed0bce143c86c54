// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/replication/source_description.hpp"

using replication::SourceDescription;

TEST_CASE("a description is the same after it is written and read, and is one short line") {
  SourceDescription d{"vsphere", "vm-42", 2000, 1 << 30, "delta", "52 de/1", "52 de/2"};
  std::string line = replication::format(d);
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.size() < 4096);
  auto again = replication::parse_description(line);
  REQUIRE(again);
  CHECK(again->source == "vsphere");
  CHECK(again->vm == "vm-42");
  CHECK(again->disk == 2000);
  CHECK(again->size == 1 << 30);
  CHECK(again->mode == "delta");
  CHECK(again->since == "52 de/1");
  CHECK(again->checkpoint == "52 de/2");
  CHECK_FALSE(again->confirm_by_connection);
  CHECK(line.find("confirm") == std::string::npos);

  d.confirm_by_connection = true;
  again = replication::parse_description(replication::format(d));
  REQUIRE(again);
  CHECK(again->confirm_by_connection);
  for (const char *other : {"true", "\"ask\"", "1"}) {
    again = replication::parse_description(std::string("{\"nbdkit-replicate\":1,\"confirm\":") +
                                           other + "}");
    REQUIRE(again);
    CHECK_FALSE(again->confirm_by_connection);
  }
}

TEST_CASE("the export description of another source is not parsed") {
  CHECK_FALSE(replication::parse_description(""));
  CHECK_FALSE(replication::parse_description("my disk"));
  CHECK_FALSE(replication::parse_description("{\"nbdkit-replicate\":2}"));
  CHECK_FALSE(replication::parse_description("[1]"));
}
