// SPDX-License-Identifier: BSD-3-Clause
//
// When the last client has gone: what is owed is drained, and the destinations are closed.
#include <algorithm>
#include <chrono>
#include <utility>

#include "filters/fanout/fanout_server.hpp"

namespace fanout {

void Shared::leave(Readers::Id id) {
  {
    std::unique_lock lock(lock_);
    if (--clients_ == 0 && !(anything_to_copy() && drain_in_background())) drain(lock);
  }
  readers_.remove(id);
  stats_.write_anyway();
}

// A client that ends its connection waits until we let it go, so it is not kept longer than must be.
bool Shared::drain_in_background() {
  if (!drainer_.joinable() || !export_.value_or(open_export_).empty()) return false;
  if (!own_) {
    Readers::Read read;
    try {
      read = own_reader_();
    } catch (...) {  // who failed has said why
    }
    if (!read) {
      log_.info("fanout: the primary cannot be read without a client: the last one has to wait");
      return false;
    }
    own_ = readers_.add(std::move(read));
  }
  drain_wanted_ = true;
  changed_.notify_all();
  return true;
}

void Shared::start(OwnReader reader) {
  own_reader_ = std::move(reader);
  drainer_ = std::thread([this] { run_drainer(); });
}

void Shared::run_drainer() {
  std::unique_lock lock(lock_);
  for (;;) {
    changed_.wait(lock, [this] { return drain_wanted_ || ending_; });
    if (!drain_wanted_) return;
    drain_wanted_ = false;
    drain(lock);
    if (own_ && (clients_ > 0 || !open_)) {
      auto own = *own_;
      own_.reset();
      lock.unlock();
      readers_.remove(own);
      stats_.write_anyway();
      lock.lock();
    }
  }
}

void Shared::finish() {
  if (!drainer_.joinable()) return;
  {
    std::lock_guard guard(lock_);
    ending_ = true;
  }
  changed_.notify_all();
  drainer_.join();
}

bool Shared::anything_to_copy() const {
  return std::any_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->has_much_to_do(); });
}

bool Shared::all_at_end() const {
  return std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->at_end(); });
}

void Shared::drain(std::unique_lock<std::mutex> &lock) {
  using Clock = std::chrono::steady_clock;
  constexpr auto look_again = std::chrono::milliseconds(100);  // if nobody says that it has ended
  const auto deadline = Clock::now() + common_.drain_timeout;
  if (clients_ > 0) return;
  draining_ = true;
  for (const auto &d : destinations_) d->drain();
  while (clients_ == 0 && !all_at_end()) {
    if (Clock::now() >= deadline) {
      log_.warning("fanout: not all is where it belongs after {:g} s (fanout-drain-timeout)",
                   static_cast<double>(common_.drain_timeout.count()) / 1000);
      break;
    }
    changed_.wait_for(lock, look_again);
  }
  if (clients_ > 0) return;  // join() has had them go on
  draining_ = false;
  close();
}

}  // namespace fanout
