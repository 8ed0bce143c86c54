// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/properties.hpp"

#include <cerrno>
#include <utility>

#include "plugins/vsphere/api/fault_error.hpp"

namespace vsphere {

namespace {

// What the session may not see is in a missingSet, not in a fault; also if the session has expired.
void check_missing(pugi::xml_node object) {
  for (pugi::xml_node missing : soap::children(object, "missingSet")) {
    throw fault_error(
        parse_method_fault(soap::child(missing, "fault")),
        fmt::format("reading {} of {}", soap::text(missing, "path"), soap::text(object, "obj")));
  }
}

ObjectContent parse_object(pugi::xml_node object) {
  check_missing(object);
  ObjectContent content;
  content.object = soap::ref(soap::child(object, "obj"));
  for (pugi::xml_node property : soap::children(object, "propSet")) {
    content.properties[soap::text(property, "name")] = soap::child(property, "val");
  }
  return content;
}

// Large results come in several answers, each with a token to ask for the next one.
std::vector<ObjectContent> retrieve_once(Client &client, const std::string &spec_set) {
  const Ref &collector = client.content().property_collector;
  auto replies = std::make_shared<std::vector<soap::Reply>>();
  std::vector<ObjectContent> objects;
  std::string token;
  do {
    replies->push_back(token.empty()
                           ? client.call("RetrievePropertiesEx", collector, spec_set + "<options/>")
                           : client.call("ContinueRetrievePropertiesEx", collector,
                                         soap::element("token", token)));
    pugi::xml_node result = soap::child(replies->back().response(), "returnval");
    for (pugi::xml_node object : soap::children(result, "objects")) {
      objects.push_back(parse_object(object));
      objects.back().replies = replies;
    }
    token = soap::text(result, "token");
  } while (!token.empty());
  return objects;
}

std::vector<ObjectContent> retrieve(Client &client, const std::string &spec_set) {
  return client.with_session([&] { return retrieve_once(client, spec_set); });
}

}  // namespace

pugi::xml_node ObjectContent::property(const std::string &path) const & {
  auto it = properties.find(path);
  return it == properties.end() ? pugi::xml_node() : it->second;
}

std::string ObjectContent::text(const std::string &path) const {
  return property(path).text().get();
}

ObjectContent read_properties(Client &client, const Ref &object,
                              const std::vector<std::string> &paths) {
  std::string property_set = soap::element("type", object.type);
  for (const auto &path : paths) property_set += soap::element("pathSet", path);
  std::vector<ObjectContent> found = retrieve(
      client, fmt::format("<specSet><propSet>{}</propSet><objectSet>{}</objectSet></specSet>",
                          property_set, soap::element("obj", object)));
  if (found.empty()) util::fail(EPROTO, "the server tells nothing about {}", object.value);
  return std::move(found.front());
}

std::vector<ObjectContent> virtual_machines(Client &client) {
  soap::Reply reply = client.call("CreateContainerView", client.content().view_manager,
                                  soap::element("container", client.content().root_folder) +
                                      soap::element("type", std::string_view("VirtualMachine")) +
                                      soap::element("recursive", true));
  Ref view = soap::ref(soap::child(reply.response(), "returnval"));
  std::vector<ObjectContent> found = retrieve(
      client,
      fmt::format("<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>"
                  "<objectSet>{}<skip>true</skip><selectSet "
                  "xsi:type=\"TraversalSpec\"><type>ContainerView</type>"
                  "<path>view</path><skip>false</skip></selectSet></objectSet></specSet>",
                  soap::element("obj", view)));
  client.call("DestroyView", view, "");
  return found;
}

}  // namespace vsphere
