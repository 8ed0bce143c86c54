// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/watch.hpp"

#include <algorithm>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/snapshot/blocked_signals.hpp"

namespace vsphere {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::minutes longest_pause{5};

}  // namespace

void SnapshotWatch::start(std::chrono::milliseconds interval) {
  const BlockedSignals blocked;
  thread_ = std::thread([this, interval] { run(interval); });
}

void SnapshotWatch::stop(const std::function<void()> &interrupt) {
  {
    util::MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  closed_ = true;
  if (interrupt) interrupt();
  if (thread_.joinable()) thread_.join();
  try {
    round_.run();  // begins when the question of another thread has ended
  } catch (const std::exception &) {
    // It is closed, and does not ask.
  }
}

void SnapshotWatch::check() const {
  if (gone_) throw SnapshotGone(gone_text_);
}

void SnapshotWatch::confirm() {
  check();
  round_.run();
  check();
}

void SnapshotWatch::ask() {
  if (gone_) return;
  if (closed_) util::fail(ESHUTDOWN, "nbdkit is ending");
  if (refusal_ && clock::now() < refused_until_) std::rethrow_exception(refusal_);
  refusal_ = nullptr;
  try {
    if (exists_()) return;
    gone_ = true;
    log_.error("{}", gone_text_);
  } catch (const FaultError &e) {
    if (e.fault().kind == "InvalidLogin") {
      refusal_ = std::current_exception();
      refused_until_ = clock::now() + longest_pause;
    }
    throw;
  }
}

void SnapshotWatch::suspect() {
  util::MutexLock lock(mutex_);
  suspected_ = true;
  changed_.notify_all();
}

// The first answer that does not come is logged, the next ones are not.
void SnapshotWatch::run(std::chrono::milliseconds interval) {
  std::chrono::milliseconds pause = interval;
  for (;;) {
    {
      util::MutexLock lock(mutex_);
      const auto end = clock::now() + pause;
      while (!stopping_ && !suspected_ && clock::now() < end) changed_.wait_until(lock, end);
      if (stopping_) return;
      suspected_ = false;
    }
    try {
      round_.run();
      if (gone_) return;
      pause = interval;
    } catch (const std::exception &e) {
      if (pause == interval)
        log_.info("whether the snapshot is still there is not known: {}", e.what());
      pause = std::min<std::chrono::milliseconds>(pause * 2, longest_pause);
    }
  }
}

}  // namespace vsphere
