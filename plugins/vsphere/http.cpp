// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http.hpp"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "plugins/vsphere/thumbprint.hpp"

namespace vsphere {

namespace {

struct FreeList {
  void operator()(curl_slist *list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

HeaderList header_list(const std::vector<std::string> &headers) {
  HeaderList list;
  for (const auto &header : headers) {
    curl_slist *longer = curl_slist_append(list.get(), header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    list.release();
    list.reset(longer);
  }
  return list;
}

bool fetches(long status, const HttpRequest &request) {
  return !request.into.empty() && status == 206;
}

}  // namespace

class Http::Impl {
 public:
  explicit Impl(const Endpoint &endpoint) : endpoint_(endpoint), curl_(curl_easy_init()) {
    if (!curl_) throw std::bad_alloc();
    set(CURLOPT_ERRORBUFFER, error_.data());
  }

  HttpResponse send(const HttpRequest &request) {
    curl_easy_reset(curl_.get());  // keeps the connection
    request_ = &request;
    response_ = {};
    refused_ = false;
    set_up_connection();
    HeaderList headers = header_list(request.headers);
    set_up_request(headers.get());

    error_[0] = '\0';
    CURLcode code = curl_easy_perform(curl_.get());
    request_ = nullptr;
    if (code == CURLE_WRITE_ERROR && refused_) code = CURLE_OK;  // we have seen enough
    if (code != CURLE_OK) throw describe(code);
    if (curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &response_.status) != CURLE_OK) {
      response_.status = 0;
    }
    response_.cut = refused_;
    return std::move(response_);
  }

 private:
  struct Cleanup {
    void operator()(CURL *curl) const { curl_easy_cleanup(curl); }
  };

  template <typename T>
  void set(CURLoption option, T value) {
    CURLcode code = curl_easy_setopt(curl_.get(), option, value);
    if (code != CURLE_OK) {
      util::fail(EINVAL, "libcurl refuses option {}: {}", static_cast<int>(option),
                 curl_easy_strerror(code));
    }
  }

  void set_up_connection() {
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "https");
    set(CURLOPT_PROXY, "");  // the environment's proxy is not for the data of whole disks
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(endpoint_.connect_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set_up_trust();
  }

  void set_up_trust() {
    seen_.clear();
    if (!endpoint_.cafile.empty()) set(CURLOPT_CAINFO, endpoint_.cafile.c_str());
    if (endpoint_.insecure) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    } else if (!endpoint_.thumbprint.empty()) {
      // Within the handshake, so before a secret is sent. The thumbprint names one certificate:
      // neither its issuer nor the host name in it matter.
      set(CURLOPT_SSL_VERIFYHOST, 0L);
      set(CURLOPT_SSL_CTX_FUNCTION, &Impl::on_tls_context);
      set(CURLOPT_SSL_CTX_DATA, this);
    }
  }

  void set_up_request(curl_slist *headers) {
    url_ = "https://" + endpoint_.host + request_->path;
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_TIMEOUT, static_cast<long>(request_->timeout.count()));
    set(CURLOPT_HEADERFUNCTION, &Impl::header_callback);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Impl::body_callback);
    set(CURLOPT_WRITEDATA, this);
    if (request_->basic != nullptr) {
      set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      set(CURLOPT_USERNAME, request_->basic->user.c_str());
      set(CURLOPT_PASSWORD, request_->basic->password.get().c_str());
    }
    if (request_->post) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_->post->size()));
      set(CURLOPT_POSTFIELDS, request_->post->data());  // not copied by libcurl
    }
    if (!request_->into.empty()) {
      range_ = fmt::format("{}-{}", request_->offset, request_->offset + request_->into.size() - 1);
      set(CURLOPT_RANGE, range_.c_str());
    }
  }

  long status() const {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  size_t on_body(const char *data, size_t length) {
    long status = this->status();
    if (fetches(status, *request_)) {
      // More than was asked for is not a range we understand: the caller sees Content-Range.
      if (length > request_->into.size() - response_.received) return refuse();
      std::memcpy(request_->into.data() + response_.received, data, length);
      response_.received += length;
      return length;
    }
    if (!request_->into.empty() && status == 200) return refuse();  // the whole disk would come
    if (length > request_->max_body - response_.body.size()) return refuse();
    response_.body.append(data, length);
    return length;
  }

  size_t refuse() {
    refused_ = true;
    return 0;
  }

  void on_header(std::string_view line) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) {
      line.remove_suffix(1);
    }
    auto value_of = [&](std::string_view name) -> std::optional<std::string_view> {
      if (line.size() <= name.size() || line[name.size()] != ':' ||
          strncasecmp(line.data(), name.data(), name.size()) != 0) {
        return std::nullopt;
      }
      std::string_view value = line.substr(name.size() + 1);
      value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      return value;
    };
    if (line.starts_with("HTTP/")) {  // of the last answer only, not of a 100 Continue
      response_.cookies.clear();
      response_.content_range.clear();
    } else if (auto cookie = value_of("Set-Cookie")) {
      response_.cookies.emplace_back(cookie->substr(0, cookie->find(';')));
    } else if (auto range = value_of("Content-Range")) {
      response_.content_range = *range;
    }
  }

  TransportError describe(CURLcode code) const {
    const char *detail = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
    const std::string &host = endpoint_.host;
    if (!seen_.empty() && seen_ != endpoint_.thumbprint) {
      return {EACCES,
              fmt::format("the certificate of {} has the thumbprint {}, not {}: that is another "
                          "machine, or thumbprint= is out of date",
                          host, with_colons(seen_), with_colons(endpoint_.thumbprint)),
              false, true};
    }
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
        return {EHOSTUNREACH, fmt::format("cannot find {} ({}): check server=", host, detail), true,
                false};
      case CURLE_COULDNT_CONNECT:
        return {ECONNREFUSED,
                fmt::format("cannot connect to {} ({}): check server=, and that the server is up",
                            host, detail),
                true, false};
      case CURLE_PEER_FAILED_VERIFICATION:
        return {
            EACCES,
            fmt::format("the certificate of {} is not trusted ({}): give its issuer as cafile=, "
                        "or its fingerprint as thumbprint=",
                        host, detail),
            false, true};
      case CURLE_SSL_CACERT_BADFILE:
        return {EINVAL, fmt::format("cafile={} cannot be used ({})", endpoint_.cafile, detail),
                false, true};
      case CURLE_SSL_CONNECT_ERROR:
        return {EPROTO,
                fmt::format("no TLS connection to {} ({}): check that server= is the HTTPS port",
                            host, detail),
                true, false};
      case CURLE_OPERATION_TIMEDOUT:
        return {ETIMEDOUT, fmt::format("{} does not answer ({})", host, detail), true, connected()};
      default:
        return {EIO, fmt::format("the connection to {} broke ({})", host, detail), true, true};
    }
  }

  // Whether the connection stood, for a timeout that does not tell.
  bool connected() const {
    curl_off_t time = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_APPCONNECT_TIME_T, &time);
    return time > 0;
  }

  // No exception may pass through libcurl or OpenSSL.
  static size_t body_callback(char *data, size_t size, size_t count, void *self) noexcept {
    try {
      return static_cast<Impl *>(self)->on_body(data, size * count);
    } catch (...) {
      return 0;
    }
  }

  static size_t header_callback(char *data, size_t size, size_t count, void *self) noexcept {
    try {
      static_cast<Impl *>(self)->on_header({data, size * count});
      return size * count;
    } catch (...) {
      return 0;
    }
  }

  static CURLcode on_tls_context(CURL *, void *context, void *self) noexcept {
    SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX *>(context), &Impl::on_certificate, self);
    return CURLE_OK;
  }

  static int on_certificate(X509_STORE_CTX *store, void *raw) noexcept {
    try {
      auto *self = static_cast<Impl *>(raw);
      const std::string &wanted = self->endpoint_.thumbprint;
      self->seen_ = thumbprint_of(X509_STORE_CTX_get0_cert(store), wanted.size());
      bool same = self->seen_ == wanted;
      X509_STORE_CTX_set_error(store, same ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
      return same ? 1 : 0;
    } catch (...) {
      return 0;
    }
  }

  Endpoint endpoint_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  std::unique_ptr<CURL, Cleanup> curl_;

  // Of the request being sent.
  const HttpRequest *request_ = nullptr;
  HttpResponse response_;
  bool refused_ = false;  // we ended it: the body is not one we want
  std::string url_;       // libcurl copies it, but not CURLOPT_RANGE before 7.84
  std::string range_;
  std::string seen_;  // thumbprint of the certificate shown, if it was looked at
};

Http::Http(const Endpoint &endpoint) : impl_(std::make_unique<Impl>(endpoint)) {}
Http::~Http() = default;
Http::Http(Http &&) noexcept = default;
Http &Http::operator=(Http &&) noexcept = default;

HttpResponse Http::send(const HttpRequest &request) {
  return impl_->send(request);
}

}  // namespace vsphere
