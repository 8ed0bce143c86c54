// SPDX-License-Identifier: BSD-3-Clause
//
// A destination's thread while it catches up: copies, flushes, and saves what is owed.
#include <utility>

#include "filters/fanout/destination/destination.hpp"

namespace fanout {

namespace {

constexpr auto save_interval = std::chrono::seconds(5);

}  // namespace

void Destination::copy(Guard &guard) {
  auto link = link_;
  pass_failed_ = false;
  guard.unlock();
  bool whole = copier_.run(*link);
  guard.lock();
  if (!machine_.connected()) return;
  if (pass_failed_) merging_ = false;
  if (!whole && !pass_failed_) return;
  machine_.pass_ended(Clock::now(), pass_failed_);
  if (machine_.given_up()) return gave_up();
  if (!pass_failed_) return;
  note(util::Level::warning, fmt::format("{}; {}, trying again", reason_, debt()));
  changed_.notify_all();
}

bool Destination::flush(Guard &guard) {
  bool behind = machine_.state() == State::behind;
  FlushPart part;
  part.link = link_;
  part.flush = ledger_.begin_flush();
  guard.unlock();
  {
    Gather gather;
    part.link->flush(gather, part.outcome);
  }
  end_flush(part);
  guard.lock();
  if (!part.outcome.good() && behind && !stop_ && machine_.connected()) {
    machine_.pass_ended(Clock::now(), true);  // so that it pauses before it tries again
    if (machine_.given_up()) gave_up();
  }
  return part.outcome.good() && machine_.connected();
}

// What has been flushed is no longer owed by the file.
void Destination::save(Guard &guard) {
  save_due_ = Clock::now() + save_interval;
  if (!ledger_.flushed() && !flush(guard)) return;
  bool live = machine_.state() == State::live;
  if (live || ledger_.durable()) unsaved_ = false;
  guard.unlock();
  std::string error = state_file_.set_back([this] {
    std::lock_guard again(lock_);
    return machine_.state() == State::live ? ledger_.missing() : ledger_.at_risk();
  });
  guard.lock();
  if (!error.empty()) {
    note(util::Level::warning, error + ": the state stays as it was, which owes more than it must");
  }
}

// After a loss: what may be missing is in the file before anything more is acknowledged.
void Destination::secure(Guard &guard) {
  insecure_ = false;
  unsaved_ = true;
  if (!state_file_.used() || !open_) return;
  DirtyMap map = ledger_.at_risk();
  guard.unlock();
  try {
    state_file_.claim(map);
  } catch (const util::Error &e) {
    means_.log.error("{}: {}: what it owes is not saved", name(), e.what());
  }
  guard.lock();
}

}  // namespace fanout
