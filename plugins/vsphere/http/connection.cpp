// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/connection.hpp"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <cerrno>
#include <utility>

#include "plugins/vsphere/http/error.hpp"
#include "plugins/vsphere/http/response.hpp"
#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/http/transfer.hpp"

namespace vsphere {

namespace {

constexpr long stalled_below = 1024;  // bytes a second, during the stall timeout
constexpr long unavailable = 503;     // RFC 9110, 15.6.4

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

}  // namespace

class HttpConnection::Impl {
 public:
  explicit Impl(const Endpoint &endpoint) : endpoint_(endpoint), curl_(curl_easy_init()) {
    if (!curl_) throw std::bad_alloc();
    set(CURLOPT_ERRORBUFFER, error_.data());
  }

  HttpResponse send(const HttpRequest &request) {
    curl_easy_reset(curl_.get());  // keeps the connection
    ResponseReceiver receiver(request);
    receiver_ = &receiver;
    set_up_connection(request);
    HeaderList headers = header_list(request.headers);
    set_up_request(request, headers.get());

    error_[0] = '\0';
    CURLcode code = transfers_.perform(curl_.get(), endpoint_.interrupt);
    receiver_ = nullptr;
    if (code == CURLE_WRITE_ERROR && receiver.cut()) code = CURLE_OK;  // ended on purpose
    if (code != CURLE_OK) {
      const char *detail = error_[0] != '\0' ? error_.data() : curl_easy_strerror(code);
      throw transport_error({code, detail, seen_, connected()}, endpoint_);
    }
    if (status() != unavailable) has_served_ = true;
    return receiver.take(status());
  }

  bool has_served() const { return has_served_; }

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

  void set_up_connection(const HttpRequest &request) {
    set(CURLOPT_ERRORBUFFER, error_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "https");
    set(CURLOPT_PROXY, "");  // proxies of the environment are not for whole disks
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);  // one request at a time
    set(CURLOPT_BUFFERSIZE, 512L << 10);               // at most so many bytes a callback
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(endpoint_.connect_timeout.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    if (request.timeout.count() == 0) {
      set(CURLOPT_LOW_SPEED_LIMIT, stalled_below);
      set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(endpoint_.stall_timeout.count()));
    }
    set_up_trust();
  }

  void set_up_trust() {
    seen_.clear();
    if (!endpoint_.cafile.empty()) set(CURLOPT_CAINFO, endpoint_.cafile.c_str());
    if (endpoint_.insecure) {
      set(CURLOPT_SSL_VERIFYPEER, 0L);
      set(CURLOPT_SSL_VERIFYHOST, 0L);
    } else if (!endpoint_.thumbprint.empty()) {
      // Verified in the handshake, before a secret is sent. The thumbprint names one certificate,
      // so its issuer and its host name do not matter.
      set(CURLOPT_SSL_VERIFYHOST, 0L);
      set(CURLOPT_SSL_CTX_FUNCTION, &Impl::on_tls_context);
      set(CURLOPT_SSL_CTX_DATA, this);
    }
  }

  void set_up_request(const HttpRequest &request, curl_slist *headers) {
    url_ = "https://" + endpoint_.host + request.path;
    set(CURLOPT_URL, url_.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_HEADERFUNCTION, &Impl::header_callback);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &Impl::body_callback);
    set(CURLOPT_WRITEDATA, this);
    if (request.basic != nullptr) {
      set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
      set(CURLOPT_USERNAME, request.basic->user.c_str());
      set(CURLOPT_PASSWORD, request.basic->password.get().c_str());
    }
    if (request.post) {
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.post->size()));
      set(CURLOPT_POSTFIELDS, request.post->data());  // not copied by libcurl
    }
    if (!request.into.empty()) {
      range_ = fmt::format("{}-{}", request.offset, request.offset + request.into.size() - 1);
      set(CURLOPT_RANGE, range_.c_str());
    }
  }

  long status() const {
    long status = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  // Whether the TLS handshake was done. The error code of a timeout does not say.
  bool connected() const {
    curl_off_t time = 0;
    curl_easy_getinfo(curl_.get(), CURLINFO_APPCONNECT_TIME_T, &time);
    return time > 0;
  }

  // No exception may pass through libcurl or OpenSSL.
  static size_t body_callback(char *data, size_t size, size_t count, void *self) noexcept {
    try {
      auto *impl = static_cast<Impl *>(self);
      return impl->receiver_->on_body(impl->status(), {data, size * count});
    } catch (...) {
      return 0;
    }
  }

  static size_t header_callback(char *data, size_t size, size_t count, void *self) noexcept {
    try {
      static_cast<Impl *>(self)->receiver_->on_header({data, size * count});
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
  Transfers transfers_;
  std::unique_ptr<CURL, Cleanup> curl_;
  bool has_served_ = false;

  // These belong to the request that is being sent.
  ResponseReceiver *receiver_ = nullptr;
  std::string url_;
  std::string range_;
  std::string seen_;  // thumbprint of the server's certificate; empty: not compared
};

HttpConnection::HttpConnection(const Endpoint &endpoint)
    : impl_(std::make_unique<Impl>(endpoint)) {}
HttpConnection::~HttpConnection() = default;
HttpConnection::HttpConnection(HttpConnection &&) noexcept = default;
HttpConnection &HttpConnection::operator=(HttpConnection &&) noexcept = default;

HttpResponse HttpConnection::send(const HttpRequest &request) {
  return impl_->send(request);
}

bool HttpConnection::has_served() const {
  return impl_->has_served();
}

}  // namespace vsphere
