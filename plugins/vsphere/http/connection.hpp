// SPDX-License-Identifier: BSD-3-Clause
//
// One keep-alive HTTPS connection to a vCenter Server or an ESXi host: a libcurl easy handle.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/vsphere/http/error.hpp"
#include "plugins/vsphere/http/secret.hpp"

namespace vsphere {

// A server and how its certificate is verified. At most one of cafile, thumbprint and insecure is
// given; with none of them the system's certificate authorities decide.
struct Endpoint {
  std::string host;        // "vc.example.com" or "vc.example.com:8443", "[::1]:443"
  std::string cafile;      // PEM
  std::string thumbprint;  // of the server's certificate, see thumbprint.hpp
  bool insecure = false;   // do not verify at all
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{60};  // of a request without a timeout of its own
  // Called at least once a second while a request is under way, on its thread. What it throws ends the
  // request and goes to the caller of send().
  std::function<void()> interrupt = nullptr;
};

struct HttpRequest {
  std::string path;                      // with the query; begins with '/'
  std::vector<std::string> headers;      // "Name: value"
  const Credentials *basic = nullptr;    // for Basic authentication, if set
  std::optional<std::string_view> post;  // a POST with this body; nothing: a GET
  std::chrono::milliseconds timeout{0};  // of the whole request; 0: only the stall timeout applies

  // GET only: a range of into.size() bytes from `offset` on is asked for. The body of a 206 answer is
  // written to `into`, which must outlive the request. Empty: no range.
  uint64_t offset = 0;
  std::span<std::byte> into;

  size_t max_body = size_t{256} << 20;  // bytes of any other body; more than that are not received
};

struct HttpResponse {
  long status = 0;
  std::string body;                  // empty if the bytes went to `into`
  size_t received = 0;               // bytes written to `into`
  bool cut = false;                  // the body was not received to its end, see ResponseReceiver
  std::vector<std::string> cookies;  // "name=value" of each Set-Cookie
  std::string content_range;         // "bytes 0-511/1024"; empty if there was none
};

// One thread at a time. Must not be used in a process forked after it was made.
class HttpConnection {
 public:
  explicit HttpConnection(const Endpoint &endpoint);
  ~HttpConnection();
  HttpConnection(HttpConnection &&) noexcept;
  HttpConnection &operator=(HttpConnection &&) noexcept;

  // Connects if need be. Returns the server's answer, whatever its status. A transfer that is slower
  // than 1 KiB/s during the stall timeout ends with an error. Throws TransportError with the host's
  // name, and what Endpoint::interrupt throws.
  HttpResponse send(const HttpRequest &request);

  // Whether any request was answered, and not with 503: a server refuses in that way, or by closing the
  // connection, what is more than it can serve.
  bool has_served() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vsphere
