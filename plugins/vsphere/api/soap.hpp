// SPDX-License-Identifier: BSD-3-Clause
//
// The XML of the vSphere Web Services API (vim25, SOAP 1.1): writing and reading it.
//
// pugixml does not know namespaces, and servers use different prefixes, so elements are found by the
// local part of their names. An element can have two "type" attributes: the one with a prefix
// (xsi:type) is the type of the data, the one without is the type of a managed object reference.
#pragma once

#include <concepts>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace vsphere {

// A managed object reference: "VirtualMachine", "vm-42".
struct Ref {
  std::string type;
  std::string value;
  bool empty() const { return value.empty(); }
  bool operator==(const Ref &) const = default;
};

namespace soap {

// Escapes text for an element's content or an attribute.
std::string escape(std::string_view text);

// <name>text</name>, <name type="T">value</name> and <name>true</name>; what they hold is escaped.
std::string element(std::string_view name, std::string_view text);
std::string element(std::string_view name, const Ref &ref);
// A bool only: a char pointer would convert to one.
std::string element(std::string_view name, std::same_as<bool> auto value) {
  return element(name, value ? std::string_view("true") : std::string_view("false"));
}

// The whole text of a request. `arguments` are XML elements.
std::string envelope(std::string_view method, const Ref &self, std::string_view arguments);

// The child elements with that local name; a null node if there is none.
pugi::xml_node child(pugi::xml_node parent, std::string_view name);
std::vector<pugi::xml_node> children(pugi::xml_node parent, std::string_view name);
std::string text(pugi::xml_node parent, std::string_view name);  // of that child; empty if absent
std::string xsi_type(pugi::xml_node node);                       // without its prefix; may be empty
Ref ref(pugi::xml_node node);                                    // empty for a null node

// The content of a child, an xsd:long. Throws util::Error EPROTO if it is not a number or is negative.
uint64_t number(pugi::xml_node parent, std::string_view name);

}  // namespace soap

}  // namespace vsphere
