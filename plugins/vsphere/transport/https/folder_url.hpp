// SPDX-License-Identifier: BSD-3-Clause
//
// The URLs of files on datastores, as vCenter Servers and ESXi hosts serve them:
// /folder/PATH?dcPath=DATACENTER&dsName=DATASTORE.
#pragma once

#include <string>

#include "plugins/vsphere/transport/https/datastore_path.hpp"

namespace vsphere {

// The path and query to request. Percent-encodes dcPath and dsName twice if file.quoted_twice says
// so.
std::string folder_url(const DatastorePath &file);

// Whether dcPath or dsName has a character that must be percent-encoded, so that it matters whether
// the server decodes them once or twice.
bool needs_quoting(const DatastorePath &file);

}  // namespace vsphere
