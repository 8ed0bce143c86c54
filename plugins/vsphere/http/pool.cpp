// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/pool.hpp"

#include <utility>

namespace vsphere {

HttpPool::HttpPool(const Endpoint &endpoint, unsigned connections)
    : endpoint_(endpoint), connections_(connections) {
  idle_.reserve(connections);
}

void HttpPool::disconnect() {
  std::lock_guard lock(mutex_);
  idle_.clear();
}

HttpPool::Lease::Lease(HttpPool &pool) : pool_(pool) {
  std::unique_lock lock(pool_.mutex_);
  pool_.freed_.wait(lock, [&] { return pool_.in_use_ < pool_.connections_; });
  ++pool_.in_use_;
  if (!pool_.idle_.empty()) {
    http_ = std::move(pool_.idle_.back());
    pool_.idle_.pop_back();
  }
}

HttpPool::Lease::~Lease() {
  std::lock_guard lock(pool_.mutex_);
  --pool_.in_use_;
  if (http_) pool_.idle_.push_back(std::move(http_));  // has room: reserved by the pool
  pool_.freed_.notify_one();
}

HttpConnection &HttpPool::Lease::http() {
  if (!http_) http_ = std::make_unique<HttpConnection>(pool_.endpoint_);
  return *http_;
}

}  // namespace vsphere
