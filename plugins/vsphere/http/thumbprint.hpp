// SPDX-License-Identifier: BSD-3-Clause
//
// The thumbprint of a certificate, as in thumbprint= and in the vSphere API: its SHA-1 or SHA-256
// digest. In memory it is lower-case hexadecimal without colons.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <string>

namespace vsphere {

inline constexpr size_t sha1_digits = 40;

// Of "AA:BB:...", 20 or 32 bytes. Throws util::Error EINVAL.
std::string parse_thumbprint(const std::string &text);

// Of a certificate. `digits` (40 or 64) says which digest. Empty if there is no certificate.
std::string thumbprint_of(const X509 *certificate, size_t digits);

// "AA:BB:CC...", as VMware writes it.
std::string with_colons(const std::string &thumbprint);

}  // namespace vsphere
