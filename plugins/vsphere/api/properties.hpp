// SPDX-License-Identifier: BSD-3-Clause
//
// Properties of the server's objects, read through its PropertyCollector.
#pragma once

#include <map>
#include <memory>
#include <pugixml.hpp>
#include <string>
#include <vector>

#include "plugins/vsphere/api/client.hpp"

namespace vsphere {

// The properties of one object by their paths; those that are not set on the server are absent. It
// shares the ownership of the XML that the nodes are in.
struct ObjectContent {
  Ref object;
  std::map<std::string, pugi::xml_node> properties;
  std::shared_ptr<const soap::Reply> reply;

  // A null node if it is not set. The node lives as long as the object and its copies.
  pugi::xml_node property(const std::string &path) const &;
  pugi::xml_node property(const std::string &path) const && = delete;
  std::string text(const std::string &path) const;  // empty if it is not set
};

// Throw as Client::call does, and util::Error EPROTO.
ObjectContent read_properties(Client &client, const Ref &object,
                              const std::vector<std::string> &paths);

struct NamedRef {
  Ref ref;
  std::string name;
};
// All virtual machines.
std::vector<NamedRef> virtual_machines(Client &client);

}  // namespace vsphere
