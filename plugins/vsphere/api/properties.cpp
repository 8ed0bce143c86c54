// SPDX-License-Identifier: BSD-3-Clause
//
// The property collector: what the server tells of its objects.
#include "plugins/vsphere/api/client.hpp"

#include <cerrno>
#include <utility>

#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

pugi::xml_node ObjectContent::property(const std::string &path) const {
  auto it = properties.find(path);
  return it == properties.end() ? pugi::xml_node() : it->second;
}

std::string ObjectContent::text(const std::string &path) const {
  return property(path).text().get();
}

Contents Client::retrieve(const std::string &spec_set) {
  // What the session may not see is not a fault but a missingSet, also when it has expired.
  auto check_missing = [&](pugi::xml_node object) {
    for (pugi::xml_node missing : soap::children(object, "missingSet")) {
      Fault fault = parse_method_fault(soap::child(missing, "fault"));
      throw explain(fault, fmt::format("reading {} of {}", soap::text(missing, "path"),
                                       soap::text(object, "obj")));
    }
  };
  auto collect = [&](Contents &contents) {
    std::string token;
    do {
      contents.replies.push_back(
          token.empty()
              ? call("RetrievePropertiesEx", content_.property_collector, spec_set + "<options/>")
              : call("ContinueRetrievePropertiesEx", content_.property_collector,
                     soap::element("token", token)));
      pugi::xml_node result = soap::child(contents.replies.back().response(), "returnval");
      for (pugi::xml_node object : soap::children(result, "objects")) {
        check_missing(object);
        ObjectContent content{soap::ref(soap::child(object, "obj")), {}};
        for (pugi::xml_node property : soap::children(object, "propSet")) {
          content.properties[soap::text(property, "name")] = soap::child(property, "val");
        }
        contents.objects.push_back(std::move(content));
      }
      token = soap::text(result, "token");
    } while (!token.empty());
  };
  try {
    Contents contents;
    collect(contents);
    return contents;
  } catch (const FaultError &e) {
    if (e.meaning() != Meaning::session_expired) throw;
  }
  authenticate();
  Contents contents;
  collect(contents);
  return contents;
}

ObjectContent Client::properties(const Ref &object, const std::vector<std::string> &paths,
                                 Contents &keep) {
  std::string property_set = soap::element("type", object.type);
  for (const auto &path : paths) property_set += soap::element("pathSet", path);
  keep = retrieve(fmt::format("<specSet><propSet>{}</propSet><objectSet>{}</objectSet></specSet>",
                              property_set, soap::element("obj", object)));
  if (keep.objects.empty()) util::fail(EPROTO, "the server tells nothing about {}", object.value);
  return keep.objects.front();
}

Contents Client::virtual_machines() {
  soap::Reply reply = call("CreateContainerView", content_.view_manager,
                           soap::element("container", content_.root_folder) +
                               soap::element("type", std::string_view("VirtualMachine")) +
                               soap::element("recursive", true));
  Ref view = soap::ref(soap::child(reply.response(), "returnval"));
  Contents contents = retrieve(
      fmt::format("<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>"
                  "<objectSet>{}<skip>true</skip><selectSet "
                  "xsi:type=\"TraversalSpec\"><type>ContainerView</type>"
                  "<path>view</path><skip>false</skip></selectSet></objectSet></specSet>",
                  soap::element("obj", view)));
  call("DestroyView", view, "");
  return contents;
}

}  // namespace vsphere
