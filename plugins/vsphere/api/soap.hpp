// SPDX-License-Identifier: BSD-3-Clause
//
// The SOAP 1.1 envelopes of the vSphere Web Services API (vim25): building and reading them.
//
// pugixml knows no namespaces and servers differ in their prefixes, so elements are found by the
// local part of their names. Of an element's two "type" attributes the prefixed one (xsi:type) is
// the type of the data, the plain one that of a managed object reference.
#pragma once

#include <concepts>
#include <memory>
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

// For text and attribute values.
std::string escape(std::string_view text);

// <name>text</name>, escaped; <name type="T">value</name>; <name>true</name>.
std::string element(std::string_view name, std::string_view text);
std::string element(std::string_view name, const Ref &ref);
// Not for what only converts to bool, as a char pointer does.
std::string element(std::string_view name, std::same_as<bool> auto value) {
  return element(name, value ? std::string_view("true") : std::string_view("false"));
}

// A request: the method, the object it is called on, and its arguments as XML.
std::string envelope(std::string_view method, const Ref &self, std::string_view arguments);

// Elements by local name; a null node if there is none.
pugi::xml_node child(pugi::xml_node parent, std::string_view name);
std::vector<pugi::xml_node> children(pugi::xml_node parent, std::string_view name);
std::string text(pugi::xml_node parent, std::string_view name);  // of that child; empty if absent
std::string xsi_type(pugi::xml_node node);                       // without its prefix; may be empty
Ref ref(pugi::xml_node node);                                    // empty for a null node

// A number that the API gives as xsd:long; throws util::Error EPROTO if it is not one, or negative.
uint64_t number(pugi::xml_node parent, std::string_view name);

// An answer. The nodes live as long as it.
class Reply {
 public:
  // Throws FaultError (fault.hpp) if the answer is a fault, util::Error EPROTO if it is no answer.
  // `what` says what was asked, for the message.
  Reply(long http_status, std::string_view body, const std::string &what);

  // <MethodResponse>; a null node if the body is empty.
  pugi::xml_node response() const { return response_; }

 private:
  std::unique_ptr<pugi::xml_document> document_;
  pugi::xml_node response_;
};

}  // namespace soap

}  // namespace vsphere
