// SPDX-License-Identifier: BSD-3-Clause
//
// A destination's thread: connects, catches up, flushes, verifies. It takes one step after the other;
// each lets go of the lock for what takes long.
#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "common/util/priority.hpp"
#include "filters/fanout/destination/destination.hpp"

namespace fanout {

namespace {

constexpr auto longest_sleep =
    std::chrono::seconds(2);  // then it looks whether the server is there

}  // namespace

void Destination::run() {
  if (async()) util::give_way();
  Guard guard(*this);
  while (!stop_) {
    if (link_ && link_->dead())
      trouble({ENOTCONN, "cannot reach the server: the connection was lost"});
    if (insecure_) {
      secure(guard);
      continue;
    }
    if (!step(guard) && !stop_) {
      offers_.free_spare();
      changed_.wait_until(guard.held(), next_look());
    }
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
  if (behind && (ledger_.anything_dirty() || !offers_.empty())) {
    if (offers_.empty() && !means_.readers.any()) return false;
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
  if (!reason_.empty()) ++counters_.retries;  // else it is the first time: its turn has come
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

}  // namespace fanout
