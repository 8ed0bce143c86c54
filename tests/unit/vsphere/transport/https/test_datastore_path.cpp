// SPDX-License-Identifier: BSD-3-Clause
//
// How datastore paths are parsed, and where the name of the datastore ends.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/https/datastore_path.hpp"

using namespace vsphere;

namespace {

// For paths that can be parsed in one way only.
std::vector<std::string> must_not_be_called() {
  FAIL("the names of the datastores were requested");
  return {};
}

// Parses a path of a file that may be on these datastores: "datastore | path".
std::string parsed(const std::string &text, const std::vector<std::string> &datastores) {
  DatastorePath file = parse_datastore_path(text, "DC0", [&] { return datastores; });
  CHECK(file.name() == text);
  return file.datastore + " | " + file.path;
}

}  // namespace

TEST_CASE("a datastore path is split into datastore and path") {
  DatastorePath file =
      parse_datastore_path("[store 1] vm/disk.vmdk", "Europe/DC0", must_not_be_called);
  CHECK(file.datastore == "store 1");
  CHECK(file.path == "vm/disk.vmdk");
  CHECK(file.name() == "[store 1] vm/disk.vmdk");
  CHECK(file.sibling("disk-flat.vmdk").path == "vm/disk-flat.vmdk");
  CHECK(parse_datastore_path("[ds] disk.vmdk", "D", must_not_be_called).sibling("a").path == "a");
  for (const char *bad : {"", "[ds]", "[ds] ", "ds/disk.vmdk", "[ds]x"}) {
    CHECK_THROWS_AS(parse_datastore_path(bad, "D", must_not_be_called), util::Error);
  }
}

TEST_CASE("names of datastores and directories may contain \"] \"") {
  const std::string text = "[one] two] web [prod] 1/d.vmdk";
  CHECK(parsed(text, {"one"}) == "one | two] web [prod] 1/d.vmdk");
  CHECK(parsed(text, {"one] two"}) == "one] two | web [prod] 1/d.vmdk");
  CHECK(parsed(text, {"one] two] web [prod"}) == "one] two] web [prod | 1/d.vmdk");
  CHECK(parsed("[a]] ] vm/d.vmdk", {"a]] "}) == "a]]  | vm/d.vmdk");
  CHECK(parsed("[a]] ] vm/d.vmdk", {"a]"}) == "a] | ] vm/d.vmdk");
  CHECK(parsed("[] /vmfs/volumes/a] b/d.vmdk", {""}) == " | /vmfs/volumes/a] b/d.vmdk");
}

TEST_CASE("of the datastores that fit, the one with the longest name is chosen") {
  const std::string text = "[one] two] web/d.vmdk";
  CHECK(parsed(text, {"one", "two", "one] two"}) == "one] two | web/d.vmdk");
  CHECK(parsed(text, {"one] two", "one"}) == "one] two | web/d.vmdk");
  CHECK(parsed(text, {"two", "one"}) == "one | two] web/d.vmdk");
  CHECK_THROWS_WITH(parsed(text, {"two", "One"}),
                    Catch::Contains(text) && Catch::Contains("\"two\", \"One\""));
  CHECK_THROWS_WITH(parsed(text, {}), Catch::Contains("have no name"));
}

TEST_CASE("names are compared with the inventory's escapes decoded") {
  CHECK(parsed("[50% a/b] c] d/d.vmdk", {"50%25 a%2Fb] c"}) == "50% a/b] c | d/d.vmdk");
  CHECK(parsed("[50%25 a%2fb] c] d/d.vmdk", {"50%25 a%2fb] c"}) == "50%25 a%2fb] c | d/d.vmdk");
}
