// SPDX-License-Identifier: BSD-3-Clause
//
// The end of a destination's work, and how far it has come.
#include <utility>

#include "filters/fanout/destination/destination.hpp"

namespace fanout {

void Destination::drain() {
  Guard guard(*this);
  draining_ = true;
  verified_ = settings_.verify == 0;
  last_try_ = machine_.state() == State::detached && machine_.due() != Clock::time_point::max();
  machine_.last_try(Clock::now());
  changed_.notify_all();
}

void Destination::resume() {
  Guard guard(*this);
  draining_ = false;
  if (machine_.finished()) machine_.restart(Clock::now());
  changed_.notify_all();
}

bool Destination::at_end() const {
  Guard guard(*this);
  return machine_.finished() || (machine_.given_up() && !last_try_);
}

bool Destination::has_much_to_do() const {
  Guard guard(*this);
  if (machine_.state() == State::failed) return false;
  return !ledger_.settled() || settings_.verify > 0 || !machine_.connected();
}

// What waits for fanout-rate would keep the thread, and so the server, for as long as that takes.
void Destination::stop() {
  std::shared_ptr<Link> link;
  {
    Guard guard(*this);
    stop_ = true;
    merging_ = false;
    link = link_;
    changed_.notify_all();
  }
  if (link) link->give_up();
}

void Destination::close() {
  stop();
  if (thread_.joinable()) thread_.join();
  Guard guard(*this);
  if (!std::exchange(open_, false)) return;
  drop_link();
  machine_.finish();
  bool had_turn = std::exchange(has_turn_, false);
  bool done = ledger_.durable();
  bool to_save = touched_ || unsaved_;
  auto links = std::exchange(retired_, {});
  double seconds = seconds_of(Clock::now() - start_.time);
  uint64_t bytes = counters_.bytes - start_.bytes;
  note(util::Level::info,
       fmt::format("{} bytes written and {} zeroed in {} requests, {:.1f} s, {:.1f} MiB/s; {}, {} "
                   "retries",
                   bytes, counters_.zero_bytes - start_.zero_bytes,
                   counters_.requests - start_.requests, seconds,
                   seconds > 0 ? static_cast<double>(bytes) / 1048576 / seconds : 0, debt(),
                   counters_.retries - start_.retries));
  guard.unlock();

  links.clear();
  if (had_turn) means_.turns.give_back();
  means_.turns.withdraw(number_);
  std::string saved = to_save ? save_at_end() : "";
  if (done) return;
  guard.lock();
  note(util::Level::error,
       fmt::format("{}{}; {}", reason_.empty() ? "" : reason_ + "; ", debt(), saved));
}

// What is to be said of it if something is owed.
std::string Destination::save_at_end() {
  if (!state_file_.used()) {
    return "not saved, for there is no fanout-state: the destination is to be copied anew";
  }
  try {
    state_file_.set_exactly([this] {
      std::lock_guard guard(lock_);
      return ledger_.at_risk();
    });
  } catch (const util::Error &e) {
    return fmt::format("{}; {} owes them, and perhaps more", e.what(), state_file_.path());
  }
  std::lock_guard guard(lock_);
  unsaved_ = false;
  return fmt::format("saved in {}: run it again with the same fanout-state to have them copied",
                     state_file_.path());
}

std::string Destination::debt() const {
  return fmt::format("{} bytes are owed", ledger_.owed_bytes());
}

void Destination::look() {
  Guard guard(*this);
  auto now = Clock::now();
  counters_.owed = ledger_.owed_bytes();
  counters_.live = machine_.connected() && counters_.owed == 0 ? 1 : 0;
  uint64_t bytes = counters_.bytes + counters_.zero_bytes;
  double seconds = seconds_of(now - last_look_);
  if (seconds < 1) return;
  speed_ = static_cast<uint64_t>(static_cast<double>(bytes - last_bytes_) / seconds);
  last_bytes_ = bytes;
  last_look_ = now;
}

std::string Destination::progress() const {
  Guard guard(*this);
  return fmt::format(
      "{}: {}, {} bytes behind; {} bytes in {} requests, {} in flight, {} retries, "
      "{:.1f} MB/s",
      name(), to_string(machine_.state()), ledger_.owed_bytes(),
      counters_.bytes + counters_.zero_bytes, counters_.requests.load(), counters_.in_flight.load(),
      counters_.retries.load(), static_cast<double>(speed_) / 1e6);
}

}  // namespace fanout
