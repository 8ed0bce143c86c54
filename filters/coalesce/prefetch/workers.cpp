// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/prefetch/workers.hpp"

#include <optional>
#include <system_error>
#include <utility>

#include "common/durability/sync_point.hpp"

namespace coalesce {

Workers::Workers(const Settings &settings, ReadAhead &read_ahead, Fetcher &fetcher, util::Log log,
                 Connect connect)
    : settings_(settings),
      read_ahead_(read_ahead),
      fetcher_(fetcher),
      log_(std::move(log)),
      connect_(std::move(connect)) {}

Workers::~Workers() {
  {
    util::MutexLock lock(read_ahead_.mutex);
    stop_ = true;
  }
  work_.notify_all();
  REPLICATE_SYNC_POINT("coalesce.workers_end");
  for (auto &thread : threads_) thread.join();
}

void Workers::attach(LowerConnection &connection) {
  util::MutexLock lock(read_ahead_.mutex);
  connections_.add(connection);
  if (settings_.priority.empty()) {
    work_.notify_one();
  } else {
    wake();
  }
}

void Workers::detach(LowerConnection &connection) noexcept {
  util::MutexLock lock(read_ahead_.mutex);
  connections_.retire(connection);
  while (connections_.in_use(connection)) {
    REPLICATE_SYNC_POINT("coalesce.detach_waits");
    released_.wait(lock);
  }
  connections_.remove(connection);
}

void Workers::wake() {
  if (settings_.workers == 0) return;
  std::call_once(started_, [this] { start(); });
  work_.notify_one();
}

void Workers::start() {
  try {
    while (threads_.size() < settings_.workers) threads_.emplace_back([this] { run(); });
  } catch (const std::system_error &e) {
    log_.warning("coalesce: only {} of {} workers could be started: {}", threads_.size(),
                 settings_.workers, e.what());
  }
}

void Workers::run() noexcept {
  std::unique_ptr<LowerConnection> own;
  if (connect_) {
    try {
      own = connect_();
    } catch (...) {
      // connect_() has logged the reason.
    }
    if (!own) {
      log_.debug("coalesce: a worker ends, as it could not open a connection of its own");
      return;
    }
  }
  do_jobs(own.get());
}

void Workers::do_jobs(LowerConnection *own) {
  util::MutexLock lock(read_ahead_.mutex);
  while (!stop_) {
    LowerConnection *const connection = own != nullptr ? own : connections_.least_busy();
    std::optional<FetchJob> job;
    if (connection != nullptr) job = read_ahead_.next_job();
    if (!job) {
      work_.wait(lock);
      continue;
    }
    if (own == nullptr) connections_.acquire(*connection);
    work_.notify_one();  // there may be another job
    lock.unlock();
    fetcher_.run(*connection, *job);
    job.reset();  // the chunk's memory is given back without the lock
    lock.lock();
    if (own == nullptr) connections_.release(*connection);
    released_.notify_all();
  }
}

}  // namespace coalesce
