// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/util/error.hpp"
#include "filters/delta/changes/mapped_source.hpp"
#include "tests/unit/delta/memory_disk.hpp"

using delta::ChangeMap;
using delta::MappedSource;
using extents::Extent;

namespace {

struct Warnings {
  std::vector<std::string> list;
  util::Log log() {
    return util::Log([this](util::Level level, const std::string &text) {
      if (level == util::Level::warning) list.push_back(text);
    });
  }
};

ChangeMap some_map() {
  return ChangeMap::of_list({{1000, 500}}, "f");
}

replication::State state_at(const std::string &checkpoint) {
  replication::State state;
  state.checkpoint = checkpoint;
  return state;
}

}  // namespace

TEST_CASE("the map is shown if the destination holds the checkpoint where it begins") {
  Warnings warnings;
  MappedSource source(some_map(), {"c1", "c2", "web1", false}, "delta-map=f", warnings.log());
  auto shown = source.describe("free text", 4096, nullptr);
  CHECK(
      replication::format(shown) ==
      R"({"nbdkit-replicate":1,"source":"delta","vm":"web1","disk":0,"size":4096,"mode":"delta","since":"c1","checkpoint":"c2"})");
  const auto c1 = state_at("c1"), c2 = state_at("c2");
  CHECK(source.describe("", 4096, &c1).mode == "delta");
  CHECK(source.describe("", 4096, &c2).mode == "delta");  // that run was interrupted
  CHECK(warnings.list.empty());
}

TEST_CASE("the whole disk is shown to a destination that holds another checkpoint, or nothing") {
  Warnings warnings;
  MappedSource source(some_map(), {"c1", "c2", "", false}, "delta-map=f", warnings.log());
  const auto nothing = state_at(""), other = state_at("c0");
  auto first = source.describe("", 4096, &nothing);
  CHECK(first.mode == "full");
  CHECK(first.since.empty());
  CHECK(first.checkpoint == "c2");
  CHECK(warnings.list.empty());
  MappedSource stale(some_map(), {"c1", "c2", "", false}, "delta-map=f", warnings.log());
  CHECK(stale.describe("", 4096, &other).mode == "full");
  CHECK(stale.describe("", 4096, &other).mode == "full");
  REQUIRE(warnings.list.size() == 1);  // once, not for each connection
  CHECK_THAT(warnings.list[0], Catch::Contains("\"c1\"") && Catch::Contains("\"c0\""));

  MappedSource strict(some_map(), {"c1", "c2", "", true}, "delta-map=f", warnings.log());
  CHECK(strict.describe("", 4096, &nothing).mode == "full");
  CHECK_THROWS_WITH(strict.describe("", 4096, &other), Catch::Contains("\"c0\""));
}

TEST_CASE(
    "a layer below that names its disk keeps that name, one with a delta of its own is refused") {
  MappedSource source(some_map(), {"c1", "c2", "", false}, "delta-map=f", {});
  replication::SourceDescription lower{"vsphere", "vm-1", 2000, 4096, "full", "", "52/7", true};
  auto shown = source.describe(replication::format(lower), 4096, nullptr);
  CHECK(shown.source == "vsphere");
  CHECK(shown.vm == "vm-1");
  CHECK(shown.disk == 2000);
  CHECK(shown.checkpoint == "c2");
  CHECK(shown.confirm_by_connection);
  lower.mode = "delta";
  lower.since = "52/6";
  CHECK_THROWS_WITH(source.describe(replication::format(lower), 4096, nullptr),
                    Catch::Contains("52/6"));
  CHECK_THROWS_WITH(source.describe("", 1400, nullptr), Catch::Contains("delta-map=f"));
}

TEST_CASE("honest extents: a hole where nothing has changed, else as the layer below says") {
  MappedSource source(some_map(), {"c1", "c2", "", false}, "delta-map=f", {});
  source.describe("", 4096, nullptr);
  auto honest = [&](extents::Type lower, extents::Range range) {
    delta::MemoryDisk disk(4096);
    disk.map.set({0, 4096}, lower);
    std::vector<Extent> list;
    source.honest(disk, range, MappedSource::Clock::time_point::max(),
                  [&](const Extent &e) { list.push_back(e); });
    return list;
  };
  CHECK(honest(extents::data, {0, 4096}) == std::vector<Extent>{{0, 1000, extents::hole},
                                                                {1000, 500, extents::data},
                                                                {1500, 2596, extents::hole}});
  CHECK(honest(extents::zero, {1100, 100}) == std::vector<Extent>{{1100, 100, extents::zero}});
  CHECK(
      honest(extents::hole | extents::zero, {1400, 200}) ==
      std::vector<Extent>{{1400, 100, extents::hole | extents::zero}, {1500, 100, extents::hole}});
  CHECK(honest(extents::hole, {1000, 10}) == std::vector<Extent>{{1000, 10, extents::data}});

  // The disk has grown: what is new has changed, as the layer below says.
  auto smaller = state_at("c1");
  smaller.size = 2048;
  source.describe("", 4096, &smaller);
  CHECK(honest(extents::zero, {0, 4096}) == std::vector<Extent>{{0, 1000, extents::hole},
                                                                {1000, 500, extents::zero},
                                                                {1500, 548, extents::hole}});
  CHECK(honest(extents::zero, {2048, 2048}) == std::vector<Extent>{{2048, 2048, extents::zero}});
  CHECK(honest(extents::hole, {2048, 2048}) == std::vector<Extent>{{2048, 2048, extents::data}});

  const auto nothing = state_at("");
  source.describe("", 4096, &nothing);
  CHECK(honest(extents::data, {0, 4096}) == std::vector<Extent>{{0, 4096, extents::data}});
  CHECK(honest(extents::hole, {0, 4096}) == std::vector<Extent>{{0, 4096, extents::data}});
}
