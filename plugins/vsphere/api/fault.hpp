// SPDX-License-Identifier: BSD-3-Clause
//
// What a server means by a fault: the data types named in the vSphere API reference, below
// MethodFault and RuntimeFault.
#pragma once

#include <pugixml.hpp>
#include <string>
#include <vector>

#include "common/util/error.hpp"

namespace vsphere {

struct Fault {
  std::string kind;               // the xsi:type: "NotAuthenticated", "FileFault"
  std::string message;            // localised; often empty
  std::string invalid_property;   // of an InvalidArgument
  std::vector<std::string> keys;  // faultMessage[].key, where change tracking tells its reason
};

// <soapenv:Fault> of an answer, and LocalizedMethodFault (info.error of a task,
// missingSet[].fault).
Fault parse_soap_fault(pugi::xml_node fault);
Fault parse_method_fault(pugi::xml_node localized);

// What to do about it.
enum class Meaning {
  session_expired,  // log in once more, then ask again
  tracking_lost,    // change tracking cannot answer: a full copy is needed
  temporary,        // ask again in a while
  busy,             // the machine has another task: nothing was begun, ask again in a while
  final,            // nothing helps but a person
};
Meaning meaning_of(const Fault &fault);

class FaultError : public util::Error {
 public:
  FaultError(int errnum, const std::string &message, Fault fault)
      : Error(errnum, message), fault_(std::move(fault)) {}
  const Fault &fault() const { return fault_; }
  Meaning meaning() const { return meaning_of(fault_); }

 private:
  Fault fault_;
};

// The fault as an error for a person: `what` failed, why, and what to do.
FaultError explain(const Fault &fault, const std::string &what);

}  // namespace vsphere
