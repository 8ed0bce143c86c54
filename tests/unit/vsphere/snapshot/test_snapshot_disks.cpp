// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/snapshot/snapshot_disks.hpp"

using namespace vsphere;

TEST_CASE(
    "a snapshot is found by its moref or as the current one; those of this plugin are refused") {
  VmInfo vm;
  vm.name = "web1";
  CHECK_THROWS_WITH(find_snapshot(vm, "current"), Catch::Contains("it has none"));
  auto ref = [](const char *moref) { return Ref{"VirtualMachineSnapshot", moref}; };
  vm.snapshots = {{ref("s-1"), "a", ""}, {ref("s-2"), "b", ""}, {ref("s-3"), snapshot_name(), ""}};
  vm.current_snapshot = ref("s-2");
  CHECK(find_snapshot(vm, "current").name == "b");
  CHECK(find_snapshot(vm, "s-1").name == "a");
  CHECK_THROWS_WITH(find_snapshot(vm, "s-9"), Catch::Contains("s-1 (\"a\"), s-2 (\"b\")"));
  CHECK_THROWS_WITH(find_snapshot(vm, "s-3"), Catch::Contains("belongs to a run of nbdkit"));
}

TEST_CASE(
    "those of a snapshot's disks that are chosen: not the others, nor one that it does not have") {
  auto disk = [](int64_t key, const char *change_id) {
    DiskInfo info;
    info.key = key;
    info.change_id = change_id;
    return info;
  };
  const std::vector<DiskInfo> disks =
      those_chosen({disk(2000, "a/1"), disk(2001, "")}, {disk(2000, ""), disk(2002, "")});
  REQUIRE(disks.size() == 1);
  CHECK(disks[0].key == 2000);
  CHECK(disks[0].change_id == "a/1");
}
