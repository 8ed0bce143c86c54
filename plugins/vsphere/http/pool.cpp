// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/pool.hpp"

#include <utility>

namespace vsphere {

HttpPool::HttpPool(const Endpoint &endpoint, unsigned connections)
    : endpoint_(endpoint), connections_(connections) {
  idle_.reserve(connections);
}

void HttpPool::disconnect() {
  util::MutexLock lock(mutex_);
  idle_.clear();
}

HttpPool::Lease::Lease(HttpPool &pool) : pool_(pool) {
  util::MutexLock lock(pool_.mutex_);
  while (pool_.in_use_ == pool_.connections_) pool_.released_.wait(lock);
  ++pool_.in_use_;
  if (!pool_.idle_.empty()) {
    connection_ = std::move(pool_.idle_.back());
    pool_.idle_.pop_back();
  }
}

HttpPool::Lease::~Lease() {
  util::MutexLock lock(pool_.mutex_);
  --pool_.in_use_;
  if (connection_) pool_.idle_.push_back(std::move(connection_));  // its capacity is reserved
  pool_.released_.notify_one();
}

HttpConnection &HttpPool::Lease::http() {
  if (!connection_) connection_ = std::make_unique<HttpConnection>(pool_.endpoint_);
  return *connection_;
}

}  // namespace vsphere
