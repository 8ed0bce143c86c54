// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "plugins/vsphere/transport/https/esxi_host_file.hpp"

using namespace vsphere;

TEST_CASE("the URL for a host has no datacenter and is quoted once") {
  DatastorePath file{"My Folder/DC0", "store 1", "web 1/web#1-flat.vmdk", true};
  CHECK(host_url("esx:443", file) ==
        "https://esx:443/folder/web%201/web%231-flat.vmdk?dsName=store%201");
}
