// SPDX-License-Identifier: BSD-3-Clause
//
// Descriptors, datastore paths and the URLs of files.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/transport/https/datastore.hpp"
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

// For names that can be read in one way only.
std::vector<std::string> not_asked() {
  FAIL("the names of the datastores were asked for");
  return {};
}

// "datastore | path" of a file's name, where these are the datastores it may be on.
std::string taken_apart(const std::string &text, const std::vector<std::string> &datastores) {
  DatastoreFile file = parse_datastore_path(text, "DC0", [&] { return datastores; });
  CHECK(file.name() == text);
  return file.datastore + " | " + file.path;
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
  DatastoreFile file = parse_datastore_path("[store 1] vm/disk.vmdk", "Europe/DC0", not_asked);
  CHECK(file.datastore == "store 1");
  CHECK(file.path == "vm/disk.vmdk");
  CHECK(file.name() == "[store 1] vm/disk.vmdk");
  CHECK(file.sibling("disk-flat.vmdk").path == "vm/disk-flat.vmdk");
  CHECK(parse_datastore_path("[ds] disk.vmdk", "D", not_asked).sibling("a").path == "a");
  for (const char *bad : {"", "[ds]", "[ds] ", "ds/disk.vmdk", "[ds]x"}) {
    CHECK_THROWS_AS(parse_datastore_path(bad, "D", not_asked), util::Error);
  }
}

TEST_CASE("a datastore's name may have in it what ends it, and so may a directory's") {
  const std::string text = "[one] two] web [prod] 1/d.vmdk";
  CHECK(taken_apart(text, {"one"}) == "one | two] web [prod] 1/d.vmdk");
  CHECK(taken_apart(text, {"one] two"}) == "one] two | web [prod] 1/d.vmdk");
  CHECK(taken_apart(text, {"one] two] web [prod"}) == "one] two] web [prod | 1/d.vmdk");
  CHECK(taken_apart("[a]] ] vm/d.vmdk", {"a]] "}) == "a]]  | vm/d.vmdk");
  CHECK(taken_apart("[a]] ] vm/d.vmdk", {"a]"}) == "a] | ] vm/d.vmdk");
  CHECK(taken_apart("[] /vmfs/volumes/a] b/d.vmdk", {""}) == " | /vmfs/volumes/a] b/d.vmdk");
}

TEST_CASE("of the datastores of a machine the longest name that fits is meant") {
  const std::string text = "[one] two] web/d.vmdk";
  CHECK(taken_apart(text, {"one", "two", "one] two"}) == "one] two | web/d.vmdk");
  CHECK(taken_apart(text, {"one] two", "one"}) == "one] two | web/d.vmdk");
  CHECK(taken_apart(text, {"two", "one"}) == "one | two] web/d.vmdk");
  CHECK_THROWS_WITH(taken_apart(text, {"two", "One"}),
                    Catch::Contains(text) && Catch::Contains("\"two\", \"One\""));
  CHECK_THROWS_WITH(taken_apart(text, {}), Catch::Contains("have no name"));
}

TEST_CASE("the inventory escapes in names what files' names may have as it is") {
  CHECK(taken_apart("[50% a/b] c] d/d.vmdk", {"50%25 a%2Fb] c"}) == "50% a/b] c | d/d.vmdk");
  CHECK(taken_apart("[50%25 a%2fb] c] d/d.vmdk", {"50%25 a%2fb] c"}) ==
        "50%25 a%2fb] c | d/d.vmdk");
}

TEST_CASE("a datastore's \"] \" is quoted in its URL") {
  DatastoreFile file = parse_datastore_path("[one] two] a] b/d.vmdk", "DC0",
                                            [] { return std::vector<std::string>{"one] two"}; });
  CHECK(folder_url(file) == "/folder/a%5D%20b/d.vmdk?dcPath=DC0&dsName=one%5D%20two");
  file.quoted_twice = true;
  CHECK(folder_url(file) == "/folder/a%5D%20b/d.vmdk?dcPath=DC0&dsName=one%255D%2520two");
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
