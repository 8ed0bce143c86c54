// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/reconnecting_pool.hpp"

#include <cerrno>
#include <thread>
#include <utility>

#include "common/nbd/uri.hpp"
#include "common/util/error.hpp"

namespace apply {

namespace {

nbd::Options options_for(std::string uri, const Timeouts &timeouts) {
  nbd::Options options;
  options.name = "apply-from=" + nbd::name_of_uri(uri);
  options.uri = std::move(uri);
  options.connect_timeout = timeouts.connect;
  options.request_timeout = timeouts.request;
  options.context = nbd::base_allocation;
  return options;
}

}  // namespace

ReconnectingPool::ReconnectingPool(std::string uri, Timeouts timeouts, Check check,
                                   unsigned connections, util::Log log)
    : options_(options_for(std::move(uri), timeouts)),
      pause_(timeouts.pause),
      check_(std::move(check)),
      connections_(connections),
      log_(std::move(log)) {}

void ReconnectingPool::connect() {
  pool_ = std::make_unique<nbd::Pool>(options_, connections_, log_);
}

const nbd::Info &ReconnectingPool::info() {
  if (!pool_) {
    try {
      connect();
    } catch (const util::Error &) {
      std::this_thread::sleep_for(pause_);
      connect();
    }
    try {
      check_(pool_->info());
    } catch (...) {
      pool_.reset();
      throw;
    }
  }
  return pool_->info();
}

void ReconnectingPool::with(const std::function<void(nbd::Pool &)> &f) {
  info();
  try {
    return f(*pool_);
  } catch (const util::Error &e) {
    if (!nbd::is_lost(e.errnum())) throw;
  }
  pool_.reset();
  info();
  try {
    f(*pool_);
  } catch (const util::Error &e) {
    if (!nbd::is_lost(e.errnum())) throw;
    pool_.reset();
    util::fail(e.errnum(), "{} (the second time: the connection had been lost before)", e.what());
  }
}

}  // namespace apply
