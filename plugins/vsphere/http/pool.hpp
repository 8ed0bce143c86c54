// SPDX-License-Identifier: BSD-3-Clause
//
// Several keep-alive connections to one server, used by any number of threads.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/vsphere/http/connection.hpp"

namespace vsphere {

class HttpPool {
 public:
  HttpPool(const Endpoint &endpoint, unsigned connections);

  const Endpoint &endpoint() const { return endpoint_; }

  // Closes all idle connections, for a fork. No request may be in progress.
  void disconnect();

  // One connection, for one request or a few. It is given back also after a failure: libcurl itself
  // has closed what is broken by then.
  class Lease {
   public:
    // Waits while all are in use. Ends: every request in progress has a deadline.
    explicit Lease(HttpPool &pool);
    ~Lease();
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;

    HttpConnection &http();

   private:
    HttpPool &pool_;
    std::unique_ptr<HttpConnection> http_;
  };

 private:
  const Endpoint endpoint_;
  const unsigned connections_;

  std::mutex mutex_;  // protects what follows; never held while data moves
  std::condition_variable freed_;
  std::vector<std::unique_ptr<HttpConnection>> idle_;
  unsigned in_use_ = 0;
};

}  // namespace vsphere
