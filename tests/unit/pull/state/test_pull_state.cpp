// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/state/pull_state.hpp"

#include <catch2/catch.hpp>

#include "common/util/error.hpp"

using Catch::Contains;
using extents::Range;
using namespace pull;
using replication::State;

namespace {

FoundSource source(const std::string &mode, const std::string &since,
                   const std::string &checkpoint) {
  return {1000, replication::SourceDescription{"test", "vm", 1, 1000, mode, since, checkpoint},
          [](const auto &add) {
            add({0, 100, extents::hole | extents::zero});
            add({100, 50, extents::zero});
            add({150, 50, extents::data});
            add({200, 800, extents::hole | extents::zero});
          }};
}
State state(const std::string &checkpoint, std::vector<Range> owed, const std::string &pull = "") {
  State s{checkpoint, "test", "vm", 1, 1000, std::move(owed)};
  s.pull = pull;
  return s;
}

}  // namespace

TEST_CASE("without a state, or with one that owes all, everything is owed") {
  for (const auto &old : {std::optional<State>(), std::optional(state("c0", {{0, 1000}}))}) {
    PullState begun = begin_state("s", old, source("full", "", "c1"), "");
    CHECK(begun.owed.bytes() == 1000);
    CHECK(begun.header.checkpoint == "c1");
    CHECK(begun.is_new);
  }
  CHECK_THROWS_WITH(begin_state("s", {}, {}, "no source"), Contains("no source"));
  // Not if clients have written.
  CHECK_THROWS_WITH(
      begin_state("s", state("c0", {{0, 1000}}, "written"), source("full", "", "c1"), ""),
      Contains("c0") && Contains("c1") && Contains("what was written"));
}

TEST_CASE("the same checkpoint goes on with what is owed") {
  for (const char *mode : {"full", "delta"}) {
    PullState begun =
        begin_state("s", state("c1", {{5, 10}}, "written"), source(mode, "c0", "c1"), "");
    CHECK(begun.owed.ranges() == std::vector<Range>{{5, 10}});
    CHECK(begun.changes_only == (std::string(mode) == "delta"));
    CHECK_FALSE(begun.is_new);
  }
  CHECK(begin_state("s", state("c1", {{5, 10}}), {}, "away").owed.bytes() == 10);
}

TEST_CASE(
    "what has changed since the state's checkpoint is owed too, unless clients have written") {
  PullState begun = begin_state("s", state("c0", {{5, 10}}), source("delta", "c0", "c1"), "");
  CHECK(begun.owed.ranges() == std::vector<Range>{{5, 10}, {100, 100}});
  CHECK(begun.header.checkpoint == "c1");
  CHECK(begun.held == "c0");
  CHECK_THROWS_WITH(begin_state("s", state("c0", {{5, 10}, {190, 20}}, "written"),
                                source("delta", "c0", "c1"), ""),
                    Contains("has been used since") && Contains("at offset 190"));
  // What is owed has not changed.
  begun = begin_state("s", state("c0", {{5, 10}}, "written"), source("delta", "c0", "c1"), "");
  CHECK(begun.owed.ranges() == std::vector<Range>{{5, 10}});
  CHECK(begun.header.checkpoint == "c1");
  CHECK(begin_state("s", state("c0", {}, "written"), source("delta", "c0", "c1"), "").owed.empty());
  CHECK(begin_state("s", state("c0", {}), source("delta", "c0", "c1"), "").owed.bytes() == 100);
  auto honest = source("delta", "c0", "c1");
  honest.read_map = [](const auto &add) { add({0, 1000, extents::hole}); };
  CHECK_THROWS_WITH(begin_state("s", state("c0", {{5, 10}}), honest, ""),
                    Contains("not a delta view"));
}

TEST_CASE("a copy owes what the source shows, whatever has been copied before") {
  const PullState begun = begin_copy(source("delta", "c0", "c1"));
  CHECK(begun.owed.ranges() == std::vector<Range>{{100, 100}});
  CHECK(begun.header.checkpoint == "c1");
  CHECK(begun.map.size() == 4);
  auto honest = source("delta", "c0", "c1");
  honest.read_map = [](const auto &add) { add({0, 1000, extents::hole}); };
  CHECK_THROWS_WITH(begin_copy(honest), Contains("not a delta view"));
}

TEST_CASE("what cannot be right is refused") {
  CHECK_THROWS_WITH(begin_state("s", state("c0", {{5, 10}}), source("full", "", "c1"), ""),
                    Contains("remove the state"));
  CHECK_THROWS_WITH(begin_state("s", state("c0", {{5, 10}}), source("delta", "c9", "c1"), ""),
                    Contains("what is here is of \"c0\""));
  CHECK_THROWS_WITH(begin_state("s", state("", {{5, 10}}), source("full", "", ""), ""),
                    Contains("does not say of which instant"));
  FoundSource mute{1000, {}, {}};
  CHECK_THROWS_WITH(begin_state("s", state("c0", {{5, 10}}), mute, ""),
                    Contains("does not say what"));
  State of_mute = state("", {{5, 10}}, "unchanged");
  of_mute.source.clear();
  CHECK(begin_state("s", of_mute, mute, "").owed.bytes() == 10);
  mute.size = 999;
  CHECK_THROWS_WITH(begin_state("s", of_mute, mute, ""), Contains("999"));
}
