// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/changes/tracking.hpp"

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

  LoadedMap load() {
    util::Log log([&](util::Level level, const std::string &text) {
      if (level == util::Level::warning) warnings.push_back(text);
    });
    return load_map(
        disk, since, fail_on_reset,
        [&](const std::string &id) -> std::vector<Range> {
          const std::string &fault = id == "*" ? allocated_fault : since_fault;
          if (!fault.empty()) throw fault_error({fault, "", "", {}}, "query");
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

TEST_CASE("if the changes are not known, the map is full, or loading it fails with on-reset=fail") {
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

TEST_CASE("other faults of the query go to the caller") {
  Run run;
  run.since.change_id = "aa/2";
  run.since_fault = "NoPermission";
  CHECK_THROWS_AS(run.load(), FaultError);
}

TEST_CASE("if the allocation is not known, nothing that may have changed is a hole") {
  Run run;
  run.allocated_fault = "FileFault";
  CHECK(run.map() == std::vector<Extent>{{0, 100, 0}});
  CHECK(run.warnings.size() == 1);
  run.since.change_id = "aa/2";
  CHECK(run.map() == std::vector<Extent>{{0, 40, 1}, {40, 20, 0}, {60, 40, 1}});
  run.allocated_fault = "NoPermission";
  CHECK_THROWS_AS(run.load(), FaultError);
}
