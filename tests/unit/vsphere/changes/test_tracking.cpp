// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "plugins/vsphere/api/fault.hpp"
#include "plugins/vsphere/changes/tracking.hpp"
#include "plugins/vsphere/vm_session.hpp"

using namespace vsphere;
using extents::Extent;
using extents::Range;

namespace {

struct Run {
  DiskInfo disk;
  Since since;
  bool fail_on_reset = false;
  std::string since_fault, allocated_fault;  // the kind of fault that a query gets
  std::vector<std::string> warnings;

  Run() {
    disk.key = 2000;
    disk.capacity = 100;
    disk.change_id = "aa/5";
  }

  Tracked load() {
    util::Log log([&](util::Level level, const std::string &text) {
      if (level == util::Level::warning) warnings.push_back(text);
    });
    return load_map(
        disk, since, fail_on_reset,
        [&](const std::string &id) -> std::vector<Range> {
          const std::string &fault = id == "*" ? allocated_fault : since_fault;
          if (!fault.empty()) throw explain({fault, "", "", {}}, "query");
          return id == "*" ? std::vector<Range>{{0, 50}} : std::vector<Range>{{40, 20}};
        },
        log);
  }

  std::vector<Extent> map() { return load().map.slice({0, 100}); }
};

const std::vector<Extent> full{{0, 50, 0}, {50, 50, 3}};
const std::vector<Extent> delta{{0, 40, 1}, {40, 10, 0}, {50, 10, 3}, {60, 40, 1}};

}  // namespace

TEST_CASE("without since the map is full") {
  Run run;
  CHECK(run.map() == full);
  CHECK(run.load().since.empty());
  CHECK(run.load().allocated == 50);
  CHECK(run.warnings.empty());
}

TEST_CASE("since a changeId the map is a delta") {
  Run run;
  run.since.change_id = "aa/2";
  CHECK(run.map() == delta);
  CHECK(run.load().since == "aa/2");
  CHECK(run.load().changed == 20);
}

TEST_CASE("where the changes are not known, the whole disk is in the delta or the run fails") {
  auto check = [](Run run, const char *why) {
    CHECK(run.map() == full);
    REQUIRE(run.warnings.size() == 1);
    CHECK_THAT(run.warnings[0], Catch::Contains(why));
    CHECK(run.load().since.empty());
    run.fail_on_reset = true;
    CHECK_THROWS_WITH(run.load(), Catch::Contains(why) && Catch::Contains("on-reset=full"));
  };
  Run other_epoch;
  other_epoch.since.change_id = "bb/2";
  check(other_epoch, "was reset");

  Run grown;
  grown.since.change_id = "aa/2";
  grown.since.size = 99;
  check(grown, "had 99 bytes and has 100 now");

  Run refused;
  refused.since.change_id = "aa/2";
  refused.since_fault = "FileFault";
  check(refused, "FileFault");
}

TEST_CASE("other faults of the query are no reason to copy everything") {
  Run run;
  run.since.change_id = "aa/2";
  run.since_fault = "NoPermission";
  CHECK_THROWS_AS(run.load(), FaultError);
}

TEST_CASE("where the allocation is not known, nothing is called a hole") {
  Run run;
  run.allocated_fault = "FileFault";
  CHECK(run.map() == std::vector<Extent>{{0, 100, 0}});
  CHECK(run.warnings.size() == 1);
  run.since.change_id = "aa/2";
  CHECK(run.map() == std::vector<Extent>{{0, 40, 1}, {40, 20, 0}, {60, 40, 1}});
  run.allocated_fault = "NoPermission";
  CHECK_THROWS_AS(run.load(), FaultError);
}

TEST_CASE("a fault that may pass is waited for, not for ever") {
  RetryPolicy policy;
  policy.sleep = [](std::chrono::milliseconds) {};
  unsigned failures = 0;
  auto query = [&]() -> AreaPage {
    if (failures-- > 0) throw explain({"SystemError", "", "", {}}, "query");
    return {0, 50, {}};
  };
  failures = 3;
  CHECK(patiently(policy, {}, query).length == 50);
  failures = 4;
  CHECK_THROWS_AS(patiently(policy, {}, query), FaultError);
}
