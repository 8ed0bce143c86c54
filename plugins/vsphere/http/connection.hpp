// SPDX-License-Identifier: BSD-3-Clause
//
// One keep-alive HTTPS connection to a vCenter Server or an ESXi host: a libcurl easy handle.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/vsphere/http/secret.hpp"

namespace vsphere {

// Whom to speak to, and how to know it. At most one of cafile, thumbprint and insecure is given;
// with none the system's certificate authorities decide.
struct Endpoint {
  std::string host;        // "vc.example.com" or "vc.example.com:8443", "[::1]:443"
  std::string cafile;      // PEM
  std::string thumbprint;  // of the server's certificate, see thumbprint.hpp
  bool insecure = false;   // do not verify at all
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{60};  // of a request that has no timeout of its own
};

// The server could not be reached, or the connection broke: what was asked may or may not have been
// done. A retry is of use unless the server is not the one it should be.
class TransportError : public util::Error {
 public:
  TransportError(int errnum, const std::string &message, bool retryable, bool connected)
      : Error(errnum, message), retryable_(retryable), connected_(connected) {}
  bool retryable() const { return retryable_; }
  bool connected() const { return connected_; }  // false: not even a connection came about

 private:
  bool retryable_;
  bool connected_;
};

struct HttpRequest {
  std::string path;                      // with its query, begins with '/'
  std::vector<std::string> headers;      // "Name: value"
  const Credentials *basic = nullptr;    // Basic authentication, if given
  std::optional<std::string_view> post;  // a POST of this body; else a GET
  std::chrono::seconds timeout{0};       // for the whole request; 0: only stalls are ended

  // A range to read, GET only: the bytes from `offset` on go to `into` when the server answers 206.
  uint64_t offset = 0;
  std::span<std::byte> into;

  size_t max_body = size_t{256} << 20;  // bytes of any other body, above that the request fails
};

struct HttpResponse {
  long status = 0;
  std::string body;                  // empty where the bytes went to `into`
  size_t received = 0;               // bytes written to `into`
  bool cut = false;                  // there was more than max_body, or a disk was coming
  std::vector<std::string> cookies;  // "name=value" of each Set-Cookie
  std::string content_range;         // "bytes 0-511/1024"; empty if there was none
};

// Not synchronised: one thread at a time. Must not be used in a process forked after it was made.
class HttpConnection {
 public:
  explicit HttpConnection(const Endpoint &endpoint);
  ~HttpConnection();
  HttpConnection(HttpConnection &&) noexcept;
  HttpConnection &operator=(HttpConnection &&) noexcept;

  // The server's answer, whatever its status. A body of status 200 where a range was asked for is
  // not received. Ends a request that moves next to nothing for the stall timeout. Throws
  // TransportError, naming the host.
  HttpResponse send(const HttpRequest &request);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsphere
