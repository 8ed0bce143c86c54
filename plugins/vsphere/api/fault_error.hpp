// SPDX-License-Identifier: BSD-3-Clause
//
// What follows from a fault: what this plugin does about it, and what it advises the user to do.
#pragma once

#include <string>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

enum class Meaning {
  session_expired,  // log in again and repeat the call
  tracking_lost,    // change tracking has no answer: a full copy is needed
  temporary,        // repeat the call after a pause
  busy,             // the machine runs another task and nothing was begun: repeat after a pause
  final,            // a retry does not help
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

// `what` failed with this fault. The message says what failed, why, and what the user can do.
FaultError fault_error(const Fault &fault, const std::string &what);

}  // namespace vsphere
