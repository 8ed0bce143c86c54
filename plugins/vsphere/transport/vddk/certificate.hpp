// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere::vddk {

// The SHA-1 fingerprint of the server's certificate, as thumbprint_of() writes it: the only thing by
// which VDDK knows a server. The certificate has been verified the way the endpoint says. Throws
// util::Error EACCES if it is not the right one, others if the server cannot be reached.
std::string certificate_sha1(const Endpoint &endpoint);

}  // namespace vsphere::vddk
