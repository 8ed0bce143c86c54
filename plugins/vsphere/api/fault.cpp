// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/fault.hpp"

#include <algorithm>
#include <string_view>

#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

namespace {

// The part that both shapes of a fault have: <XxxFault xsi:type="Xxx">...</XxxFault>. Without an
// xsi:type the type is in the element's name.
Fault parse_detail(pugi::xml_node detail, std::string message) {
  Fault fault;
  fault.kind = soap::xsi_type(detail);
  if (fault.kind.empty()) {
    std::string_view name = detail.name();
    name.remove_prefix(std::min(name.find(':') + 1, name.size()));
    constexpr std::string_view suffix = "Fault";
    if (name.ends_with(suffix) && name.size() > suffix.size()) name.remove_suffix(suffix.size());
    fault.kind = name;
  }
  fault.message = std::move(message);
  fault.invalid_property = soap::text(detail, "invalidProperty");
  for (pugi::xml_node entry : soap::children(detail, "faultMessage")) {
    fault.keys.push_back(soap::text(entry, "key"));
    std::string said = soap::text(entry, "message");
    if (!said.empty()) fault.message += (fault.message.empty() ? "" : ": ") + said;
  }
  return fault;
}

}  // namespace

Fault parse_soap_fault(pugi::xml_node fault) {
  pugi::xml_node detail = soap::child(fault, "detail").first_child();
  return parse_detail(detail, soap::text(fault, "faultstring"));
}

Fault parse_method_fault(pugi::xml_node localized) {
  return parse_detail(soap::child(localized, "fault"), soap::text(localized, "localizedMessage"));
}

}  // namespace vsphere
