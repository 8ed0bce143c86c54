// SPDX-License-Identifier: BSD-3-Clause
//
// Keep-alive connections to one server that any number of threads share.
#pragma once

#include <memory>
#include <vector>

#include "common/util/mutex.hpp"
#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

class HttpPool {
 public:
  // At most `connections` are in use at a time.
  HttpPool(const Endpoint &endpoint, unsigned connections);

  const Endpoint &endpoint() const { return endpoint_; }

  // Closes all idle connections, before a fork. No request may be in progress.
  void disconnect();

  // One connection, for one request or a few. It goes back to the pool even after a failed request:
  // libcurl has closed a broken connection by then, and makes a new one.
  class Lease {
   public:
    // Waits while all connections are in use. Every request has a deadline, so the wait ends.
    explicit Lease(HttpPool &pool);
    ~Lease();
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;

    HttpConnection &http();

   private:
    HttpPool &pool_;
    std::unique_ptr<HttpConnection> connection_;  // null: made by the first http()
  };

 private:
  const Endpoint endpoint_;
  const unsigned connections_;

  util::Mutex mutex_;  // never held during a request
  util::Condition released_;
  std::vector<std::unique_ptr<HttpConnection>> idle_ ABSL_GUARDED_BY(mutex_);
  unsigned in_use_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace vsphere
