// SPDX-License-Identifier: BSD-3-Clause
//
// A fault as the server sends it: one of the data types that the vSphere API reference lists below
// MethodFault and RuntimeFault.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <vector>

namespace vsphere {

struct Fault {
  std::string kind;               // the xsi:type: "NotAuthenticated", "FileFault"
  std::string message;            // localised; often empty
  std::string invalid_property;   // of an InvalidArgument
  std::vector<std::string> keys;  // faultMessage[].key, in which change tracking gives its reason
};

// Of the element <soapenv:Fault> in an answer.
Fault parse_soap_fault(pugi::xml_node fault);

// Of a LocalizedMethodFault: info.error of a task, missingSet[].fault of a property collector.
Fault parse_method_fault(pugi::xml_node localized);

}  // namespace vsphere
