// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/open_error.hpp"

#include <cerrno>

#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

namespace {

// Added to VDDK's error text where that says too little; may be empty.
const char *advice(const Failed &failed) {
  switch (failed.code) {
    case vix_authentication:
      return ": check user= and password=";
    case vix_file_not_found:
      return ": the disk does not exist, or the server cannot access its datastore";
    case vix_file_access:
      return ": the user may lack a privilege, or the disk is locked";
    case vix_fail:
      if (failed.step == "VixDiskLib_Open") {
        return ": VDDK reports this for a wrong thumbprint=, if port 902 of the host cannot be "
               "reached, and if the "
               "host is of a version that this VDDK does not support (see its release notes)";
      }
      return failed.step == "VixDiskLib_ConnectEx"
                 ? ": VDDK reports this if the server is of a version that this VDDK does not "
                   "support, such as a much "
                   "older one (see its release notes)"
                 : "";
    default:
      return "";
  }
}

int errno_of(uint64_t code) {
  switch (code) {
    case vix_authentication:
    case vix_file_access:
      return EACCES;
    case vix_file_not_found:
      return ENOENT;
    default:
      return EIO;
  }
}

}  // namespace

OpenError explain(const Failed &failed, const std::string &library, const std::string &disk) {
  if (failed.step == loading_step) {
    return {ENOENT,
            fmt::format("{} cannot be loaded ({}): check that libdir= has the whole VDDK for "
                        "this architecture",
                        library, failed.text)};
  }
  return {errno_of(failed.code), fmt::format("{}: {}: {} (error {}){}", disk, failed.step,
                                             failed.text, failed.code, advice(failed))};
}

}  // namespace vsphere::vddk
