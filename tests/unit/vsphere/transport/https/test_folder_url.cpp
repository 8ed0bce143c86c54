// SPDX-License-Identifier: BSD-3-Clause
//
// How the names of files are percent-encoded in URLs.
#include <catch2/catch.hpp>

#include "plugins/vsphere/transport/https/folder_url.hpp"

using namespace vsphere;

TEST_CASE("\"] \" in the name of a datastore is percent-encoded in its URL") {
  DatastorePath file = parse_datastore_path("[one] two] a] b/d.vmdk", "DC0",
                                            [] { return std::vector<std::string>{"one] two"}; });
  CHECK(folder_url(file) == "/folder/a%5D%20b/d.vmdk?dcPath=DC0&dsName=one%5D%20two");
  file.quoted_twice = true;
  CHECK(folder_url(file) == "/folder/a%5D%20b/d.vmdk?dcPath=DC0&dsName=one%255D%2520two");
}

TEST_CASE("URLs are percent-encoded once, dcPath and dsName twice if the server wants it") {
  DatastorePath file{"Eu&rope/DC 0", "store+1", "my vm/d#1-flat.vmdk"};
  CHECK(folder_url(file) ==
        "/folder/my%20vm/d%231-flat.vmdk?dcPath=Eu%26rope/DC%200&dsName=store%2B1");
  file.quoted_twice = true;
  CHECK(folder_url(file) ==
        "/folder/my%20vm/d%231-flat.vmdk?dcPath=Eu%2526rope/DC%25200&dsName=store%252B1");
  CHECK(folder_url({"", "ds", "a.vmdk"}) == "/folder/a.vmdk?dsName=ds");
}
