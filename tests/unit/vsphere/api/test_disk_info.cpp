// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/disk_info.hpp"
#include "plugins/vsphere/api/inventory.hpp"

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
    "<keyId><keyId>8a7f</keyId><providerId><id>kms</id></providerId></keyId>"
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

TEST_CASE("the disks among the devices are parsed") {
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
  CHECK_FALSE(disks[0].encrypted);
  CHECK_FALSE(disks[0].has_parent);
  CHECK(disks[1].key == -7);
  CHECK(disks[1].capacity == 1048576);
  CHECK(disks[1].datastore.empty());
  CHECK(disks[1].change_id.empty());
  CHECK(disks[1].encrypted);
  CHECK(disks[1].has_parent);
}

TEST_CASE("a disk is chosen by key, position or label") {
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

TEST_CASE("a disk that cannot be read has a reason") {
  CHECK(why_unreadable(disk_with("VirtualDiskFlatVer2BackingInfo")).empty());
  CHECK_THAT(
      why_unreadable(disk_with("VirtualDiskFlatVer2BackingInfo", "independent_nonpersistent")),
      Catch::Contains("independent"));
  CHECK_THAT(why_unreadable(disk_with("VirtualDiskRawDiskMappingVer1BackingInfo")),
             Catch::Contains("raw device"));
  CHECK_THAT(why_unreadable(disk_with("VirtualDiskSeSparseBackingInfo")),
             Catch::Contains("not a flat file"));
}

TEST_CASE("a disk that is shared, or whose bus is, cannot be read") {
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
  CHECK(why_unreadable(disk).empty());
  disk.bus = "virtualSharing";
  CHECK_THAT(why_unreadable(disk), Catch::Contains("SCSI bus"));
  disk.bus.clear();
  disk.sharing = "sharingMultiWriter";
  CHECK_THAT(why_unreadable(disk), Catch::Contains("multi-writer"));
}
