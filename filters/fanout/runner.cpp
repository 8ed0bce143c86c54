// SPDX-License-Identifier: BSD-3-Clause
//
// A destination's thread: connects, catches up, flushes, verifies. It takes one step after the other;
// each lets go of the lock for what takes long.
#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "filters/fanout/destination.hpp"

namespace fanout {

namespace {

constexpr auto longest_sleep =
    std::chrono::seconds(2);  // then it looks whether the server is there
constexpr auto save_interval = std::chrono::seconds(5);

}  // namespace

void Destination::run() {
  Guard guard(*this);
  while (!stop_) {
    if (link_ && link_->dead())
      trouble({ENOTCONN, "cannot reach the server: the connection was lost"});
    if (insecure_) {
      secure(guard);
      continue;
    }
    if (!step(guard) && !stop_) changed_.wait_until(guard.held(), next_look());
    if (!retired_.empty()) {
      auto old = std::exchange(retired_, {});
      guard.unlock();
      old.clear();
      guard.lock();
    }
  }
}

Destination::Clock::time_point Destination::next_look() const {
  auto now = Clock::now();
  auto latest = now + longest_sleep;
  auto due = machine_.due();
  return due > now ? std::min(due, latest) : latest;
}

// Whether it has a turn, after it has asked for one or given it back as its state is.
bool Destination::keep_turn(Guard &guard) {
  if (has_turn_ && !machine_.has_turn()) {
    has_turn_ = false;
    guard.unlock();
    means_.turns.give_back();
    means_.changed();
    guard.lock();
  }
  if (machine_.next(Clock::now()) == Machine::Action::take_turn) {
    if (!has_turn_ && means_.turns.take(number_)) {
      has_turn_ = true;
      last_try_ = false;
      machine_.turn(Clock::now());
    }
  }
  return has_turn_;
}

// Does one thing; false if there is nothing to do until something changes.
bool Destination::step(Guard &guard) {
  if (draining_ && machine_.state() == State::waiting && !machine_.finished() &&
      ledger_.durable()) {
    machine_.finish();  // it had no turn, and needs none
    guard.unlock();
    means_.turns.withdraw(number_);
    means_.changed();
    guard.lock();
    return true;
  }
  if (!keep_turn(guard)) return false;
  if (machine_.next(Clock::now()) == Machine::Action::connect) {
    connect(guard);
    return true;
  }
  return machine_.connected() && !machine_.pausing(Clock::now()) && step_connected(guard);
}

bool Destination::step_connected(Guard &guard) {
  bool behind = machine_.state() == State::behind;
  if (behind && !async() && ledger_.dirty_blocks() <= merging_limit()) merging_ = true;
  bool to_save = state_file_.used() && unsaved_ && Clock::now() >= save_due_;
  if (to_save) {
    save(guard);
    return true;
  }
  if (behind && ledger_.anything_dirty()) {
    if (!means_.readers.any()) return false;
    copy(guard);
    return true;
  }
  if (!ledger_.settled()) return false;
  if (behind && !async()) {
    machine_.caught_up();
    merging_ = false;
    note(util::Level::info, "has caught up");
    save_due_ = Clock::now();
    changed_.notify_all();
    return true;
  }
  return draining_ && step_draining(guard);
}

// All is there that clients have written.
bool Destination::step_draining(Guard &guard) {
  if (!ledger_.flushed()) {
    flush(guard);
    return true;
  }
  if (!ledger_.durable()) return false;
  if (!verified_ && means_.readers.any()) {
    verify(guard);
    return true;
  }
  machine_.finish();
  drop_link();
  insecure_ = false;  // nothing was lost
  return true;
}

void Destination::connect(Guard &guard) {
  ++counters_.retries;
  guard.unlock();
  std::unique_ptr<Target> target;
  std::optional<util::Error> error;
  try {
    target = means_.connect(settings_);
  } catch (const util::Error &e) {
    error = e;
  } catch (const std::exception &e) {
    error = util::Error(EIO, e.what());
  }
  guard.lock();
  try {
    if (target) {
      check_fits(target->info());
      return connected(std::move(target));
    }
  } catch (const util::Error &e) {
    error = e;
  }
  // The name is in front of every line.
  std::string text = error->what();
  if (text.starts_with(name() + ": ")) text.erase(0, name().size() + 2);
  reason_ = text;
  errnum_ = EIO;  // what connect(2) says means something else to an NBD client
  auto now = Clock::now();
  if (target || error->errnum() == EROFS) {
    machine_.refused(now);
  } else {
    machine_.connect_failed(now);
  }
  if (machine_.given_up()) {
    gave_up();
    guard.unlock();
    means_.changed();
    guard.lock();
  } else {
    note(util::Level::info, reason_);
  }
  if (target) {  // its threads end without the lock
    guard.unlock();
    target.reset();
    guard.lock();
  }
}

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
  if (!part.outcome.good() && behind && machine_.connected()) {
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

void Destination::verify(Guard &guard) {
  Sampler sampler(settings_.verify, ledger_.size(), std::random_device()());
  uint64_t before = counters_.differences;
  while (!stop_ && draining_ && !verified_) {
    verified_ = !verify_batch(guard, sampler);
    if (!link_ || machine_.pausing(Clock::now())) {
      verified_ = false;
      return;
    }
  }
  if (!verified_) return;
  if (uint64_t n = counters_.differences - before; n > 0) {
    note(
        util::Level::error,
        fmt::format("{} blocks of {} bytes that were read back are not what was written there, and "
                    "are copied again: do not trust that server's storage",
                    n, DirtyMap::block));
    machine_.owes();
    unsaved_ = true;
  } else {
    note(util::Level::info,
         fmt::format("{:g}% of the blocks were read back: all are equal", settings_.verify * 100));
  }
}

bool Destination::verify_batch(Guard &guard, Sampler &sampler) {
  struct Look {
    Ledger::Id id;
    Range range;
    std::vector<std::byte> theirs;
    Outcome outcome;
  };
  constexpr size_t most = 16;
  std::list<Look> looks;
  bool more = true;
  while (looks.size() < most && more) {
    auto range = sampler.next();
    more = range.has_value();
    if (!more) break;
    auto id = ledger_.reserve(*range);
    if (!id) continue;
    Look &look = looks.emplace_back();
    look.id = *id;
    look.range = *range;
  }
  auto link = link_;
  guard.unlock();
  {
    Gather gather;
    for (Look &look : looks) {
      look.theirs.resize(look.range.length);
      link->read(gather, look.outcome, look.theirs, look.range.offset);
    }
  }
  std::vector<std::byte> ours;
  std::vector<bool> equal;
  for (Look &look : looks) {
    ours.resize(look.range.length);
    bool read = false;
    try {
      read = look.outcome.good() && means_.readers.read(ours, look.range.offset);
    } catch (...) {  // reported by what failed
    }
    equal.push_back(!read || ours == look.theirs);
  }
  guard.lock();
  size_t i = 0;
  for (Look &look : looks) {
    if (!equal[i]) ++counters_.differences;
    ledger_.end(look.id, equal[i++], true);
    if (look.outcome.good() || link_ != link) continue;
    // It is verified again when it has come back; if it answers with errors, it is given up in time.
    trouble(*look.outcome.failure());
    machine_.pass_ended(Clock::now(), true);
    if (machine_.given_up()) gave_up();
  }
  changed_.notify_all();
  return more;
}

}  // namespace fanout
