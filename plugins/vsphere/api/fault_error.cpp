// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/fault_error.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>

namespace vsphere {

namespace {

bool is_tracking_key(const std::string &key) {
  return key.find(".cbt.") != std::string::npos;
}

struct Advice {
  std::string_view kind;
  int errnum;
  std::string_view text;
};

constexpr Advice advice_table[] = {
    {"InvalidLogin", EACCES, "the user name or the password is wrong: check user= and password="},
    {"NoPermission", EACCES,
     "the user lacks a privilege for this, see PRIVILEGES in the manual page"},
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

// Some hosts answer a changeId that they do not know with a FileFault without a key. A FileFault with a
// key of something else than change tracking is a lock or an I/O error, which may be temporary.
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

FaultError fault_error(const Fault &fault, const std::string &what) {
  std::string text = what + ": ";
  int errnum = EIO;
  auto known = std::find_if(std::begin(advice_table), std::end(advice_table),
                            [&](const Advice &advice) { return advice.kind == fault.kind; });
  if (known != std::end(advice_table)) {
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
