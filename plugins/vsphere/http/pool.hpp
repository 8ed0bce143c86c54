// SPDX-License-Identifier: BSD-3-Clause
//
// Keep-alive connections to one server that any number of threads share.
#pragma once

#include <memory>
#include <vector>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/http/connection_limit.hpp"

namespace vsphere {

class HttpPool {
 public:
  // At most `connections` are in use at a time; fewer while the server refuses some of them, which is a warning.
  HttpPool(const Endpoint &endpoint, unsigned connections, const util::Log &log = {});

  const Endpoint &endpoint() const { return endpoint_; }

  // Closes all idle connections, before a fork. No request may be in progress.
  void disconnect();

  // One connection, for one request or a few. It goes back to the pool also after a failed request, for libcurl
  // has closed a broken connection by then, and makes a new one; but not if it never served a request.
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
    const bool was_idle_;                         // it has served a request before
  };

 private:
  // Null if none is idle.
  std::unique_ptr<HttpConnection> take() ABSL_LOCKS_EXCLUDED(mutex_);
  void give_back(std::unique_ptr<HttpConnection> connection, bool was_idle) noexcept
      ABSL_LOCKS_EXCLUDED(mutex_);

  const Endpoint endpoint_;
  const unsigned connections_;
  const util::Log log_;

  util::Mutex mutex_;  // never held during a request
  util::Condition released_;
  ConnectionLimit limit_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<HttpConnection>> idle_
      ABSL_GUARDED_BY(mutex_);  // each has served a request
  unsigned in_use_ ABSL_GUARDED_BY(mutex_) = 0;
  unsigned unproven_ ABSL_GUARDED_BY(mutex_) = 0;  // of those in use: not from the pool
};

}  // namespace vsphere
