// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/properties.hpp"

#include <cerrno>
#include <optional>
#include <utility>

#include "plugins/vsphere/api/fault_error.hpp"

namespace vsphere {

namespace {

constexpr unsigned objects_at_once = 1000;  // in one answer
constexpr size_t most_machines = 200'000;   // a vCenter Server has at most 45,000

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

// Calls take(object) for each object. Large results come in several answers, each with a token to ask for
// the next one; one answer at a time is in memory. take() returns false if it needs no more.
template <typename Take>
void retrieve(Client &client, const std::string &spec_set, Take &&take) {
  const Ref &collector = client.content().property_collector;
  const std::string options =
      "<options>" + soap::element("maxObjects", std::to_string(objects_at_once)) + "</options>";
  std::string token;
  do {
    auto reply = std::make_shared<soap::Reply>(
        token.empty() ? client.call("RetrievePropertiesEx", collector, spec_set + options)
                      : client.call("ContinueRetrievePropertiesEx", collector,
                                    soap::element("token", token)));
    pugi::xml_node result = soap::child(reply->response(), "returnval");
    std::vector<pugi::xml_node> objects = soap::children(result, "objects");
    for (pugi::xml_node object : objects) {
      ObjectContent content = parse_object(object);
      content.reply = reply;
      if (!take(std::move(content))) return;
    }
    token = soap::text(result, "token");
    if (!token.empty() && objects.empty()) {
      util::fail(EPROTO,
                 "the server's property collector gives an empty answer, but not the last one");
    }
  } while (!token.empty());
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
  const std::string spec_set =
      fmt::format("<specSet><propSet>{}</propSet><objectSet>{}</objectSet></specSet>", property_set,
                  soap::element("obj", object));
  std::optional<ObjectContent> found;
  client.with_session([&] {
    retrieve(client, spec_set, [&](ObjectContent content) {
      found = std::move(content);
      return false;
    });
  });
  if (!found) util::fail(EPROTO, "the server tells nothing about {}", object.value);
  return *std::move(found);
}

std::vector<NamedRef> virtual_machines(Client &client) {
  soap::Reply reply = client.call("CreateContainerView", client.content().view_manager,
                                  soap::element("container", client.content().root_folder) +
                                      soap::element("type", std::string_view("VirtualMachine")) +
                                      soap::element("recursive", true));
  Ref view = soap::ref(soap::child(reply.response(), "returnval"));
  const std::string spec_set = fmt::format(
      "<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>"
      "<objectSet>{}<skip>true</skip><selectSet "
      "xsi:type=\"TraversalSpec\"><type>ContainerView</type>"
      "<path>view</path><skip>false</skip></selectSet></objectSet></specSet>",
      soap::element("obj", view));
  std::vector<NamedRef> found;
  client.with_session([&] {
    found.clear();
    retrieve(client, spec_set, [&](const ObjectContent &content) {
      if (found.size() == most_machines) {
        util::fail(EPROTO, "the server tells of more than {} virtual machines: give vm=moref=ID",
                   most_machines);
      }
      found.push_back({content.object, content.text("name")});
      return true;
    });
  });
  client.call("DestroyView", view, "");
  return found;
}

}  // namespace vsphere
