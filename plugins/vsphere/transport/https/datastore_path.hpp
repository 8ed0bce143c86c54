// SPDX-License-Identifier: BSD-3-Clause
//
// Datastore paths, as the vSphere API writes them: "[datastore] directory/file.vmdk".
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace vsphere {

struct DatastorePath {
  std::string
      datacenter;  // inventory path of the datacenter, without a leading slash: "Europe/DC0"
  std::string datastore;
  std::string path;           // on the datastore
  bool quoted_twice = false;  // the server decodes dcPath and dsName twice, see folder_url.hpp

  // As the API writes it.
  std::string name() const { return "[" + datastore + "] " + path; }
  // Of another file in the same directory.
  DatastorePath sibling(const std::string &file) const;
};

// Returns the names of the datastores that a file may be on, from the inventory. May throw.
using DatastoreNames = std::function<std::vector<std::string>()>;

// Parses a datastore path. Names of datastores and directories may have "] " in them. Only if the
// text has it more than once, `names` is called to tell which one ends the name of the datastore;
// if two of the names fit, the longer one wins. Throws util::Error EPROTO if the text is not a
// datastore path, or if no name fits.
DatastorePath parse_datastore_path(const std::string &text, const std::string &datacenter,
                                   const DatastoreNames &names);

}  // namespace vsphere
