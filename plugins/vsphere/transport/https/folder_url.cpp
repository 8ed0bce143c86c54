// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/https/folder_url.hpp"

#include "common/util/percent.hpp"

namespace vsphere {

namespace {

// A slash is kept: a path is made of them, and in a query it survives being decoded once or twice.
std::string quote(std::string_view text) {
  return util::percent_encode(text, "-._~/");
}

}  // namespace

std::string folder_url(const DatastorePath &file) {
  auto quoted = [&](const std::string &name) {
    return file.quoted_twice ? quote(quote(name)) : quote(name);
  };
  std::string query = "dsName=" + quoted(file.datastore);
  if (!file.datacenter.empty()) query = "dcPath=" + quoted(file.datacenter) + "&" + query;
  return "/folder/" + quote(file.path) + "?" + query;
}

bool needs_quoting(const DatastorePath &file) {
  return quote(file.datacenter) != file.datacenter || quote(file.datastore) != file.datastore;
}

}  // namespace vsphere
