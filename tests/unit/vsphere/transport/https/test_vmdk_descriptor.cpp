// SPDX-License-Identifier: BSD-3-Clause
//
// Which VMDK descriptors are understood.
#include <catch2/catch.hpp>

#include "plugins/vsphere/transport/https/vmdk_descriptor.hpp"

using namespace vsphere;

namespace {

std::string descriptor(const std::string &parent, const std::string &type,
                       const std::string &extents) {
  return "# Disk DescriptorFile\r\nversion=1\nencoding=\"UTF-8\"\nCID=a1b2c3d4\nparentCID=" +
         parent + "\ncreateType=\"" + type + "\"\n\n# Extent description\n" + extents +
         "\n\n# The Disk Data Base\n#DDB\nddb.adapterType = \"lsilogic\"\n"
         "ddb.thinProvisioned = \"1\"\n";
}

}  // namespace

TEST_CASE("the descriptor of a flat disk names its file and size") {
  FlatExtent extent = parse_vmdk_descriptor(
      descriptor("ffffffff", "vmfs", "RW 131072 VMFS \"web 1-flat.vmdk\""), "d");
  CHECK(extent.file == "web 1-flat.vmdk");
  CHECK(extent.size == 131072u * 512);
  CHECK(parse_vmdk_descriptor(descriptor("FFFFFFFF", "vmfs", "RW 8 VMFS \"a.vmdk\" 0"), "d").size ==
        4096);
}

TEST_CASE(
    "a disk that is encrypted, or has another IO filter, is refused: its file has other data") {
  const std::string flat = descriptor("ffffffff", "vmfs", "RW 8 VMFS \"a-flat.vmdk\"");
  for (const char *line : {"keyID=\"key-1\"", "encryptionKeys=\"vmware:key/list/(pair/...)\"",
                           "ddb.iofilters = \"vmwarevmcrypt\"",
                           "ddb.iofilters = \"vmwarelwd, VMW_vmwarevmcrypt_1.0.0\""}) {
    CHECK_THROWS_WITH(
        parse_vmdk_descriptor(flat + line + "\n", "[ds] a.vmdk"),
        Catch::Contains("[ds] a.vmdk is encrypted") && Catch::Contains("transport=vddk"));
  }
  for (const char *name : {"acmecache", "ACM_spm_1.0", "spm,acmecache", "spmx"}) {
    CHECK_THROWS_WITH(
        parse_vmdk_descriptor(flat + "ddb.iofilters = \"" + name + "\"\n", "[ds] a.vmdk"),
        Catch::Contains("[ds] a.vmdk has the IO filter") && Catch::Contains("transport=vddk"));
  }
  CHECK_THROWS_WITH(parse_vmdk_descriptor(flat + "ddb.iofilters = \"spm,acmecache\"\n", "d"),
                    Catch::Contains("IO filter \"acmecache\""));
}

TEST_CASE("IO filters that only copy or delay what is written leave the file as the disk is") {
  const std::string flat = descriptor("ffffffff", "vmfs", "RW 8 VMFS \"a-flat.vmdk\"");
  for (const char *names :
       {"", "vmwarelwd", "spm", "vmwarelwd,spm", "VMW_spm_1.0.0, VMW_vmwarelwd_1.0.0", ","}) {
    CAPTURE(names);
    CHECK(parse_vmdk_descriptor(flat + "ddb.iofilters = \"" + names + "\"\n", "d").size == 4096);
  }
}

TEST_CASE("a disk that is not one flat file is refused, and the message says what it is") {
  auto refused = [](const std::string &text, const char *why) {
    CHECK_THROWS_WITH(parse_vmdk_descriptor(text, "[ds] a.vmdk"),
                      Catch::Contains(why) && Catch::Contains("[ds] a.vmdk"));
  };
  refused(descriptor("deadbeef", "vmfsSparse", "RW 8 VMFSSPARSE \"a-delta.vmdk\""),
          "chain of files");
  refused(descriptor("", "vmfs", "RW 8 VMFS \"a\""), "its parent is unknown");
  refused(descriptor("ffffffff", "seSparse", "RW 8 SESPARSE \"a-sesparse.vmdk\""), "SESPARSE");
  refused(descriptor("ffffffff", "vmfsRawDeviceMap", "RW 8 VMFSRDM \"a-rdm.vmdk\""), "VMFSRDM");
  refused(descriptor("ffffffff", "vmfs", "RW 8 VMFS \"a\"\nRW 8 VMFS \"b\""), "2 extent(s)");
  refused(descriptor("ffffffff", "vmfs", ""), "0 extent(s)");
  refused(descriptor("ffffffff", "vmfs", "RW 8 VMFS \"vsan://52a1\""), "not in a file");
  refused(descriptor("ffffffff", "vmfs", "RW 8 VMFS \"../web2/web2-flat.vmdk\""), "not in a file");
  refused(descriptor("ffffffff", "vmfs", "RW 99999999999999999 VMFS \"a\""),
          "more than a disk has");
  refused("KDMV\x01", "not a VMDK descriptor");
  refused("", "not a VMDK descriptor");
}
