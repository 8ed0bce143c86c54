// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/http/pool.hpp"

#include <chrono>
#include <utility>

namespace vsphere {

using Clock = std::chrono::steady_clock;

HttpPool::HttpPool(const Endpoint &endpoint, unsigned connections, const util::Log &log)
    : endpoint_(endpoint), connections_(connections), log_(log), limit_(connections) {
  idle_.reserve(connections);
}

void HttpPool::disconnect() {
  util::MutexLock lock(mutex_);
  idle_.clear();
}

std::unique_ptr<HttpConnection> HttpPool::take() {
  util::MutexLock lock(mutex_);
  while (in_use_ >= limit_.connections(Clock::now())) released_.wait(lock);
  ++in_use_;
  if (idle_.empty()) {
    ++unproven_;
    return nullptr;
  }
  auto connection = std::move(idle_.back());
  idle_.pop_back();
  return connection;
}

void HttpPool::give_back(std::unique_ptr<HttpConnection> connection, bool was_idle) noexcept {
  unsigned working = 0;
  bool tell = false;
  std::unique_ptr<HttpConnection> refused;  // closed when the lock has been released
  {
    util::MutexLock lock(mutex_);
    --in_use_;
    if (!was_idle) --unproven_;
    if (connection && connection->has_served()) {
      idle_.push_back(std::move(connection));  // its capacity is reserved
    } else if (connection) {
      refused = std::move(connection);
      working = in_use_ - unproven_ + static_cast<unsigned>(idle_.size());
      tell = limit_.refused(working, Clock::now());
    }
    released_.notify_one();
  }
  if (!tell) return;
  try {
    log_.warning("{} serves {} of {} connections and refuses the others; going on with those",
                 endpoint_.host, working, connections_);
  } catch (...) {  // out of memory for a line of the log
  }
}

HttpPool::Lease::Lease(HttpPool &pool)
    : pool_(pool), connection_(pool.take()), was_idle_(connection_ != nullptr) {}

HttpPool::Lease::~Lease() {
  pool_.give_back(std::move(connection_), was_idle_);
}

HttpConnection &HttpPool::Lease::http() {
  if (!connection_) connection_ = std::make_unique<HttpConnection>(pool_.endpoint_);
  return *connection_;
}

}  // namespace vsphere
