// SPDX-License-Identifier: BSD-3-Clause
//
// A request that got no answer: the exception, and how it is made of what libcurl reports.
#pragma once

#include <string>

#include "common/util/error.hpp"

namespace vsphere {

struct Endpoint;

// The server could not be reached, or the connection broke: the request may or may not have been
// executed.
class TransportError : public util::Error {
 public:
  TransportError(int errnum, const std::string &message, bool retryable, bool connected)
      : Error(errnum, message), retryable_(retryable), connected_(connected) {}
  bool retryable() const { return retryable_; }  // false: another attempt would fail the same way
  bool connected() const { return connected_; }  // false: no connection was established

 private:
  bool retryable_;
  bool connected_;
};

// How a transfer of libcurl failed.
struct CurlFailure {
  int code;                // a CURLcode
  std::string detail;      // libcurl's own text
  std::string thumbprint;  // of the server's certificate, if it was compared
  bool connected;          // whether there was a connection, for a timeout
};

TransportError transport_error(const CurlFailure &failure, const Endpoint &endpoint);

}  // namespace vsphere
