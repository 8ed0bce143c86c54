// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "plugins/vsphere/api/inventory.hpp"

using namespace vsphere;

TEST_CASE("the whole snapshot tree is parsed") {
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
