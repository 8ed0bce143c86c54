// SPDX-License-Identifier: BSD-3-Clause
//
// Descriptors, datastore paths and the URLs of files.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/datastore.hpp"
#include "plugins/vsphere/descriptor.hpp"
#include "plugins/vsphere/thumbprint.hpp"

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
  FlatExtent extent =
      parse_descriptor(descriptor("ffffffff", "vmfs", "RW 131072 VMFS \"web 1-flat.vmdk\""), "d");
  CHECK(extent.file == "web 1-flat.vmdk");
  CHECK(extent.size == 131072u * 512);
  CHECK(parse_descriptor(descriptor("FFFFFFFF", "vmfs", "RW 8 VMFS \"a.vmdk\" 0"), "d").size ==
        4096);
}

TEST_CASE("what is not one flat file is refused, with what it is") {
  auto refused = [](const std::string &text, const char *why) {
    CHECK_THROWS_WITH(parse_descriptor(text, "[ds] a.vmdk"),
                      Catch::Contains(why) && Catch::Contains("[ds] a.vmdk"));
  };
  refused(descriptor("deadbeef", "vmfsSparse", "RW 8 VMFSSPARSE \"a-delta.vmdk\""),
          "chain of files");
  refused(descriptor("", "vmfs", "RW 8 VMFS \"a\""), "not told");
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

TEST_CASE("datastore paths are taken apart") {
  DatastoreFile file = parse_datastore_path("[store 1] vm/disk.vmdk", "Europe/DC0");
  CHECK(file.datastore == "store 1");
  CHECK(file.path == "vm/disk.vmdk");
  CHECK(file.name() == "[store 1] vm/disk.vmdk");
  CHECK(file.sibling("disk-flat.vmdk").path == "vm/disk-flat.vmdk");
  CHECK(parse_datastore_path("[ds] disk.vmdk", "D").sibling("a").path == "a");
  for (const char *bad : {"", "[ds]", "[ds] ", "ds/disk.vmdk", "[ds]x"}) {
    CHECK_THROWS_AS(parse_datastore_path(bad, "D"), util::Error);
  }
}

TEST_CASE("URLs are quoted once, dcPath and dsName twice if they must be") {
  DatastoreFile file{"Eu&rope/DC 0", "store+1", "my vm/d#1-flat.vmdk"};
  CHECK(folder_url(file) ==
        "/folder/my%20vm/d%231-flat.vmdk?dcPath=Eu%26rope/DC%200&dsName=store%2B1");
  file.quoted_twice = true;
  CHECK(folder_url(file) ==
        "/folder/my%20vm/d%231-flat.vmdk?dcPath=Eu%2526rope/DC%25200&dsName=store%252B1");
  CHECK(folder_url({"", "ds", "a.vmdk"}) == "/folder/a.vmdk?dsName=ds");
}

TEST_CASE("an answer must be for the range that was asked for") {
  CHECK(check_content_range("bytes 512-1023/67108864", 512, 512, "f") == 67108864);
  for (const char *bad : {"", "bytes 0-511/67108864", "bytes 512-1022/67108864", "bytes 512-1023/*",
                          "bytes 512-1023/1000", "bytes 512-1023/", "512-1023/67108864"}) {
    CHECK_THROWS_AS(check_content_range(bad, 512, 512, "f"), util::Error);
  }
}

TEST_CASE("thumbprints are SHA-1 or SHA-256 in hexadecimal") {
  CHECK(parse_thumbprint("02:46:24:BF:58:6B:A7:E1:BD:B6:4D:71:B1:F7:7F:74:97:D6:A5:4A") ==
        "024624bf586ba7e1bdb64d71b1f77f7497d6a54a");
  CHECK(parse_thumbprint(std::string(64, 'A')) == std::string(64, 'a'));
  for (const std::string bad : {"", "AA:BB", "zz"})
    CHECK_THROWS_AS(parse_thumbprint(bad), util::Error);
  CHECK_THROWS_WITH(parse_thumbprint(std::string(40, 'g')), Catch::Contains("thumbprint="));
}
