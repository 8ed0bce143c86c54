// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/thumbprint.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>
#include <cctype>
#include <cerrno>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr size_t sha256_digits = 64;

}  // namespace

std::string parse_thumbprint(const std::string &text) {
  std::string hex;
  bool good = true;
  for (char c : text) {
    if (c == ':') continue;
    good = good && std::isxdigit(static_cast<unsigned char>(c)) != 0;
    hex += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (!good || (hex.size() != sha1_digits && hex.size() != sha256_digits)) {
    util::fail(EINVAL,
               "thumbprint={}: must be the SHA-1 (20 bytes) or SHA-256 (32 bytes) fingerprint of "
               "the server's certificate in hexadecimal, AA:BB:...",
               text);
  }
  return hex;
}

std::string thumbprint_of(const X509 *certificate, size_t digits) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned length = 0;
  const EVP_MD *kind = digits == sha256_digits ? EVP_sha256() : EVP_sha1();
  if (certificate == nullptr || X509_digest(certificate, kind, bytes.data(), &length) != 1)
    return "";
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

std::string with_colons(const std::string &hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); ++i) {
    if (i != 0 && i % 2 == 0) out += ':';
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(hex[i])));
  }
  return out;
}

}  // namespace vsphere
