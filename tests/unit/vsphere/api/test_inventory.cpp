// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/snapshot/snapshot.hpp"

using namespace vsphere;

namespace {

const char *devices =
    "<val xmlns:X=\"http://www.w3.org/2001/XMLSchema-instance\" X:type=\"ArrayOfVirtualDevice\">"
    "<VirtualDevice X:type=\"VirtualIDEController\"><key>200</key></VirtualDevice>"
    "<VirtualDevice X:type=\"VirtualDisk\"><key>2000</key>"
    "<deviceInfo X:type=\"Description\"><label>Hard disk 1</label></deviceInfo>"
    "<backing X:type=\"VirtualDiskFlatVer2BackingInfo\"><fileName>[DS] vm/disk1.vmdk</fileName>"
    "<datastore "
    "type=\"Datastore\">datastore-15</datastore><diskMode>persistent</diskMode><changeId>52 de "
    "ad/2</changeId></backing>"
    "<capacityInKB>65536</capacityInKB><capacityInBytes>67108864</capacityInBytes></VirtualDevice>"
    "<VirtualDevice X:type=\"VirtualDisk\"><key>-7</key>"
    "<backing X:type=\"VirtualDiskFlatVer2BackingInfo\"><fileName>[DS] "
    "vm/disk2-000001.vmdk</fileName>"
    "<diskMode>independent_persistent</diskMode><parent><fileName>[DS] vm/disk2.vmdk</fileName>"
    "<changeId>not this one</changeId></parent></backing>"
    "<capacityInKB>1024</capacityInKB></VirtualDevice></val>";

DiskInfo disk_with(const std::string &backing, const std::string &mode = "persistent") {
  DiskInfo disk;
  disk.backing = backing;
  disk.mode = mode;
  return disk;
}

}  // namespace

TEST_CASE("the disks among the devices are read") {
  pugi::xml_document document;
  REQUIRE(document.load_string(devices));
  std::vector<DiskInfo> disks = parse_disks(document.first_child());
  REQUIRE(disks.size() == 2);
  CHECK(disks[0].key == 2000);
  CHECK(disks[0].label == "Hard disk 1");
  CHECK(disks[0].capacity == 67108864);
  CHECK(disks[0].file == "[DS] vm/disk1.vmdk");
  CHECK(disks[0].datastore == Ref{"Datastore", "datastore-15"});
  CHECK(disks[0].change_id == "52 de ad/2");
  CHECK_FALSE(disks[0].has_parent);
  CHECK(disks[1].key == -7);
  CHECK(disks[1].capacity == 1048576);
  CHECK(disks[1].datastore.empty());
  CHECK(disks[1].change_id.empty());
  CHECK(disks[1].has_parent);
}

TEST_CASE("a disk is chosen by key, place or label") {
  pugi::xml_document document;
  REQUIRE(document.load_string(devices));
  VmInfo vm;
  vm.name = "web1";
  vm.disks = parse_disks(document.first_child());
  CHECK(choose_disk(vm, "2000").key == 2000);
  CHECK(choose_disk(vm, "Hard disk 1").key == 2000);
  CHECK(choose_disk(vm, "1").key == -7);
  CHECK_THROWS_WITH(choose_disk(vm, "2001"), Catch::Contains("2000 (\"Hard disk 1\"), -7"));
}

TEST_CASE("disks that cannot be read say why") {
  CHECK(unreadable_because(disk_with("VirtualDiskFlatVer2BackingInfo")).empty());
  CHECK_THAT(
      unreadable_because(disk_with("VirtualDiskFlatVer2BackingInfo", "independent_nonpersistent")),
      Catch::Contains("independent"));
  CHECK_THAT(unreadable_because(disk_with("VirtualDiskRawDiskMappingVer1BackingInfo")),
             Catch::Contains("raw device"));
  CHECK_THAT(unreadable_because(disk_with("VirtualDiskSeSparseBackingInfo")),
             Catch::Contains("not a flat file"));
}

TEST_CASE("disks that share a bus or themselves say so") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<val xmlns:X=\"i\">"
      "<VirtualDevice X:type=\"VirtualDisk\"><key>2000</key><backing X:type=\"B\"/>"
      "<controllerKey>1000</controllerKey><capacityInKB>1</capacityInKB></VirtualDevice>"
      "<VirtualDevice X:type=\"VirtualDisk\"><key>2016</key><backing X:type=\"B\"/>"
      "<controllerKey>1001</controllerKey><capacityInKB>1</capacityInKB></VirtualDevice>"
      "<VirtualDevice X:type=\"ParaVirtualSCSIController\"><key>1000</key>"
      "<sharedBus>physicalSharing</sharedBus></VirtualDevice>"
      "<VirtualDevice X:type=\"ParaVirtualSCSIController\"><key>1001</key>"
      "<sharedBus>noSharing</sharedBus></VirtualDevice></val>"));
  std::vector<DiskInfo> disks = parse_disks(document.first_child());
  REQUIRE(disks.size() == 2);
  CHECK(disks[0].bus == "physicalSharing");
  CHECK(disks[1].bus == "noSharing");

  DiskInfo disk = disk_with("VirtualDiskFlatVer2BackingInfo");
  disk.bus = "noSharing";
  CHECK(unreadable_because(disk).empty());
  disk.bus = "virtualSharing";
  CHECK_THAT(unreadable_because(disk), Catch::Contains("SCSI bus"));
  disk.bus.clear();
  disk.sharing = "sharingMultiWriter";
  CHECK_THAT(unreadable_because(disk), Catch::Contains("multi-writer"));
}

TEST_CASE("a snapshot is found by its reference, or as the current one; ours are not") {
  VmInfo vm;
  vm.name = "web1";
  CHECK_THROWS_WITH(find_snapshot(vm, "current"), Catch::Contains("it has none"));
  auto ref = [](const char *moref) { return Ref{"VirtualMachineSnapshot", moref}; };
  vm.snapshots = {{ref("s-1"), "a"}, {ref("s-2"), "b"}, {ref("s-3"), snapshot_name()}};
  vm.current_snapshot = ref("s-2");
  CHECK(find_snapshot(vm, "current").name == "b");
  CHECK(find_snapshot(vm, "s-1").name == "a");
  CHECK_THROWS_WITH(find_snapshot(vm, "s-9"), Catch::Contains("s-1 (\"a\"), s-2 (\"b\")"));
  CHECK_THROWS_WITH(find_snapshot(vm, "s-3"), Catch::Contains("belongs to a run of nbdkit"));
}

TEST_CASE("the snapshot tree is read whole") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<val><currentSnapshot type=\"VirtualMachineSnapshot\">snapshot-70</currentSnapshot>"
      "<rootSnapshotList><snapshot type=\"VirtualMachineSnapshot\">snapshot-70</snapshot>"
      "<name>before update</name><childSnapshotList>"
      "<snapshot type=\"VirtualMachineSnapshot\">snapshot-71</snapshot><name>b</name>"
      "</childSnapshotList></rootSnapshotList></val>"));
  auto found = parse_snapshots(document.first_child());
  REQUIRE(found.size() == 2);
  CHECK(found[0].name == "before update");
  CHECK(found[1].ref == Ref{"VirtualMachineSnapshot", "snapshot-71"});
  CHECK(parse_snapshots({}).empty());
}

TEST_CASE("a snapshot's name tells whose it is") {
  std::string ours = snapshot_name();
  CHECK(ours.size() <= 80);
  CHECK(maker_of(ours, ours) == Maker::us);
  CHECK(maker_of(ours + "-else", ours) == Maker::our_kin);
  CHECK(maker_of("before update", ours) == Maker::other);
}
