// SPDX-License-Identifier: BSD-3-Clause
//
// The names of files on datastores, as the API writes them: "[datastore] directory/file.vmdk".
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace vsphere {

// Where a file lies.
struct DatastoreFile {
  std::string datacenter;  // its inventory path, without the leading slash: "Europe/DC0"
  std::string datastore;
  std::string path;
  bool quoted_twice = false;  // whether the server decodes dcPath and dsName twice

  std::string name() const { return "[" + datastore + "] " + path; }
  // The file beside it.
  DatastoreFile sibling(const std::string &file) const;
};

// The names of the datastores that a file may be on, from the inventory. May throw.
using DatastoreNames = std::function<std::vector<std::string>()>;

// Datastores and directories may themselves have "] " in their names: with several of them in the
// text - and only then - `names` is asked which one ends the datastore's; of two that fit, it is the
// longer name. Throws util::Error EPROTO if the text is not of that shape, or none of the names fits.
DatastoreFile parse_datastore_path(const std::string &text, const std::string &datacenter,
                                   const DatastoreNames &names);

}  // namespace vsphere
