// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/error.hpp"

#include <curl/curl.h>

#include <cerrno>

#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/thumbprint.hpp"

namespace vsphere {

TransportError transport_error(const CurlFailure &failure, const Endpoint &endpoint) {
  const std::string &host = endpoint.host;
  const std::string &detail = failure.detail;
  const std::string &seen = failure.thumbprint;
  if (!seen.empty() && seen != endpoint.thumbprint) {
    return {EACCES,
            fmt::format("the certificate of {} has the thumbprint {}, not {}: it is another "
                        "machine, or thumbprint= is out of date",
                        host, with_colons(seen), with_colons(endpoint.thumbprint)),
            false, true};
  }
  switch (failure.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {EHOSTUNREACH, fmt::format("cannot find {} ({}): check server=", host, detail), true,
              false};
    case CURLE_COULDNT_CONNECT:
      return {ECONNREFUSED,
              fmt::format("cannot connect to {} ({}): check server=, and that the server is up",
                          host, detail),
              true, false};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {EACCES,
              fmt::format("the certificate of {} is not trusted ({}): give its issuer as cafile=, "
                          "or its fingerprint as thumbprint=",
                          host, detail),
              false, true};
    case CURLE_SSL_CACERT_BADFILE:
      return {EINVAL, fmt::format("cafile={} cannot be used ({})", endpoint.cafile, detail), false,
              true};
    case CURLE_SSL_CONNECT_ERROR:
      return {EPROTO,
              fmt::format("no TLS connection to {} ({}): check that server= is the HTTPS port",
                          host, detail),
              true, false};
    case CURLE_OPERATION_TIMEDOUT:
      return {ETIMEDOUT, fmt::format("{} does not answer ({})", host, detail), true,
              failure.connected};
    default:
      return {EIO, fmt::format("the connection to {} broke ({})", host, detail), true, true};
  }
}

}  // namespace vsphere
