// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere::vddk {

// Connects to the server, verifies its certificate as the endpoint says, and returns its SHA-1
// fingerprint as thumbprint_of() does. VDDK identifies a server by that alone. Throws util::Error:
// EACCES if the certificate is not valid, others if the server cannot be reached.
std::string certificate_sha1(const Endpoint &endpoint);

}  // namespace vsphere::vddk
