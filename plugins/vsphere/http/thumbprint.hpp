// SPDX-License-Identifier: BSD-3-Clause
//
// The fingerprint by which a person names one certificate.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <string>

namespace vsphere {

inline constexpr size_t sha1_digits = 40;  // hexadecimal, without the colons

// "AA:BB:..." as VMware writes it, SHA-1 (20 bytes) or SHA-256 (32): to lower case without colons.
// Throws util::Error EINVAL.
std::string parse_thumbprint(const std::string &text);

// Of a certificate, in that form; the number of digits says which digest. Empty if there is none.
std::string thumbprint_of(const X509 *certificate, size_t digits);

// As VMware writes it: "AA:BB:CC".
std::string with_colons(const std::string &thumbprint);

}  // namespace vsphere
