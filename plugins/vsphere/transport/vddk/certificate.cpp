// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/certificate.hpp"

#include <curl/curl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <string_view>

#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/http/transfer.hpp"

namespace vsphere::vddk {

namespace {

struct FreeCurl {
  void operator()(CURL *curl) const { curl_easy_cleanup(curl); }
};
struct FreeBio {
  void operator()(BIO *bio) const { BIO_free(bio); }
};
struct FreeCertificate {
  void operator()(X509 *certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, FreeCertificate>;

// Returns the server's own certificate, the first one of the chain that it presented; null if none.
Certificate presented(CURL *curl) {
  curl_certinfo *chain = nullptr;
  curl_easy_getinfo(curl, CURLINFO_CERTINFO, &chain);
  if (chain == nullptr || chain->num_of_certs < 1) return nullptr;
  constexpr std::string_view key = "Cert:";
  for (curl_slist *line = chain->certinfo[0]; line != nullptr; line = line->next) {
    std::string_view text = line->data;
    if (!text.starts_with(key)) continue;
    text.remove_prefix(key.size());
    std::unique_ptr<BIO, FreeBio> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    return Certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  }
  return nullptr;
}

}  // namespace

std::string certificate_sha1(const Endpoint &endpoint) {
  std::unique_ptr<CURL, FreeCurl> curl(curl_easy_init());
  if (!curl) throw std::bad_alloc();
  std::array<char, CURL_ERROR_SIZE> error{};
  auto set = [&](CURLoption option, auto value) {
    if (CURLcode code = curl_easy_setopt(curl.get(), option, value); code != CURLE_OK) {
      util::fail(EINVAL, "libcurl refuses option {}: {}", static_cast<int>(option),
                 curl_easy_strerror(code));
    }
  };
  const long seconds = static_cast<long>(endpoint.connect_timeout.count());
  set(CURLOPT_ERRORBUFFER, error.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_URL, ("https://" + endpoint.host + "/").c_str());
  set(CURLOPT_CONNECT_ONLY, 1L);  // no request is sent, and no password
  set(CURLOPT_CERTINFO, 1L);
  set(CURLOPT_CONNECTTIMEOUT, seconds);
  set(CURLOPT_TIMEOUT, 2 * seconds);
  if (!endpoint.cafile.empty()) set(CURLOPT_CAINFO, endpoint.cafile.c_str());
  if (endpoint.insecure || !endpoint.thumbprint.empty()) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  Transfers transfers;
  if (CURLcode code = transfers.perform(curl.get(), endpoint.interrupt); code != CURLE_OK) {
    util::fail(code == CURLE_PEER_FAILED_VERIFICATION ? EACCES : EIO,
               "cannot read the certificate of {} ({})", endpoint.host,
               error[0] != '\0' ? error.data() : curl_easy_strerror(code));
  }
  Certificate certificate = presented(curl.get());
  if (!certificate) util::fail(EPROTO, "{} presents no certificate", endpoint.host);
  const std::string &wanted = endpoint.thumbprint;
  if (!wanted.empty() && thumbprint_of(certificate.get(), wanted.size()) != wanted) {
    util::fail(EACCES, "the certificate of {} does not have the thumbprint {}", endpoint.host,
               with_colons(wanted));
  }
  return thumbprint_of(certificate.get(), sha1_digits);
}

}  // namespace vsphere::vddk
