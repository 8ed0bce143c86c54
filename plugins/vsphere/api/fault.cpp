// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/fault.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "plugins/vsphere/api/soap.hpp"

namespace vsphere {

namespace {

// What is common to both shapes of a fault: <XxxFault xsi:type="Xxx">...</XxxFault>.
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

bool is_tracking_key(const std::string &key) {
  return key.find(".cbt.") != std::string::npos;
}

struct Advice {
  std::string_view kind;
  int errnum;
  std::string_view text;
};

constexpr Advice advices[] = {
    {"InvalidLogin", EACCES, "the user name or the password is wrong: check user= and password="},
    {"NoPermission", EACCES, "the user lacks a privilege for this, see the manual page"},
    {"NotAuthenticated", EACCES, "the session has expired"},
    {"ManagedObjectNotFound", ENOENT, "the object is gone"},
    {"NotFound", ENOENT, "there is no such object"},
    {"FileFault", EIO, "the host cannot use a file of the disk"},
    {"FileNotFound", ENOENT, "a file of the virtual machine is missing"},
    {"NoDiskSpace", ENOSPC, "the datastore is full"},
    {"TaskInProgress", EBUSY, "the virtual machine is busy with another task: try again later"},
    {"ConcurrentAccess", EBUSY, "another task changes the virtual machine: try again later"},
    {"InvalidState", EBUSY, "the virtual machine is in a state that does not allow this"},
    {"InvalidPowerState", EBUSY, "the virtual machine's power state does not allow this"},
    {"TooManySnapshots", EMLINK, "the virtual machine has too many snapshots: remove some"},
    {"ApplicationQuiesceFault", EIO, "the guest could not be quiesced: try quiesce=no"},
    {"FilesystemQuiesceFault", EIO, "the guest could not be quiesced: try quiesce=no"},
    {"InsufficientResourcesFault", EAGAIN, "the host is short of resources: try again later"},
    {"RestrictedVersion", EPERM, "the host's licence does not allow this"},
    {"NotSupported", ENOTSUP, "the virtual machine, or one of its disks, does not support this"},
    {"SnapshotIncompatibleDeviceInVm", ENOTSUP,
     "a device of the virtual machine does not allow snapshots"},
};

}  // namespace

Fault parse_soap_fault(pugi::xml_node fault) {
  pugi::xml_node detail = soap::child(fault, "detail").first_child();
  return parse_detail(detail, soap::text(fault, "faultstring"));
}

Fault parse_method_fault(pugi::xml_node localized) {
  return parse_detail(soap::child(localized, "fault"), soap::text(localized, "localizedMessage"));
}

// The catalogue is in the tests (test_soap.cpp). A FileFault without a reason is how a changeId that does not fit is answered by some hosts; one
// with a reason of another kind is a lock or an I/O error that may pass.
Meaning meaning_of(const Fault &fault) {
  if (fault.kind == "NotAuthenticated") return Meaning::session_expired;
  if (fault.kind == "FileFault") {
    bool tracking =
        fault.keys.empty() || std::any_of(fault.keys.begin(), fault.keys.end(), is_tracking_key);
    return tracking ? Meaning::tracking_lost : Meaning::temporary;
  }
  if (fault.kind == "InvalidArgument" && fault.invalid_property == "changeId") {
    return Meaning::tracking_lost;
  }
  if (fault.kind == "SystemError") return Meaning::temporary;
  if (fault.kind == "TaskInProgress" || fault.kind == "ConcurrentAccess") return Meaning::busy;
  return Meaning::final;
}

FaultError explain(const Fault &fault, const std::string &what) {
  std::string text = what + ": ";
  int errnum = EIO;
  auto known = std::find_if(std::begin(advices), std::end(advices),
                            [&](const Advice &advice) { return advice.kind == fault.kind; });
  if (known != std::end(advices)) {
    errnum = known->errnum;
    text += known->text;
    text += " (" + fault.kind + (fault.message.empty() ? "" : ": " + fault.message) + ")";
  } else {
    text += fault.kind + (fault.message.empty() ? "" : ": " + fault.message);
    if (!fault.invalid_property.empty() &&
        fault.message.find(fault.invalid_property) == std::string::npos) {
      text += " (" + fault.invalid_property + ")";
    }
  }
  return FaultError(errnum, text, fault);
}

}  // namespace vsphere
