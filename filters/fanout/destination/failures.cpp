// SPDX-License-Identifier: BSD-3-Clause
//
// What a destination does about what has gone wrong, and how it is told.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

#include "filters/fanout/destination/destination.hpp"

namespace fanout {

namespace {

// What does not change by asking again.
bool is_final(int errnum) {
  return errnum == ENOSPC || errnum == EPERM || errnum == EROFS || errnum == EDQUOT;
}

}  // namespace

void Destination::Guard::unlock() {
  auto notes = std::exchange(destination_.notes_, {});
  lock_.unlock();
  for (const auto &[level, text] : notes) {
    const util::Log &log = destination_.means_.log;
    if (level == util::Level::error) log.error("{}", text);
    if (level == util::Level::warning) log.warning("{}", text);
    if (level == util::Level::info) log.info("{}", text);
  }
}

void Destination::note(util::Level level, std::string text) const {
  notes_.emplace_back(level, settings_.name + ": " + std::move(text));
}

void Destination::trouble(const Failure &failure) {
  if (stop_ && failure.errnum == ECANCELED) return;  // of our own doing
  auto now = Clock::now();
  reason_ = failure.what;
  errnum_ = failure.errnum == ESHUTDOWN ? EIO : failure.errnum;  // it is not we who shut down
  State before = machine_.state();
  pass_failed_ = true;
  merging_ = false;
  if (means_lost(failure.errnum)) {
    if (!link_) return;
    drop_link();
    machine_.lost(now);
  } else if (is_final(failure.errnum)) {
    machine_.refused(now);
  } else {
    machine_.error(now);
  }
  if (machine_.given_up()) {
    if (before != machine_.state()) gave_up();
  } else if (before != machine_.state()) {
    note(util::Level::warning,
         fmt::format("{}; {}, trying again in {:g} s", reason_, debt(),
                     std::max(0.0, std::round(seconds_of(machine_.due() - now) * 10) / 10)));
  }
}

// After an event that may have been one too many.
void Destination::gave_up() {
  if (!machine_.given_up()) return;
  drop_link();
  if (machine_.state() == State::failed) {
    note(util::Level::info, reason_ + ": it has failed");
    failed_ = true;
  } else {
    note(util::Level::error,
         fmt::format("{}: it is detached, the others go on; {}{}", reason_, debt(),
                     machine_.due() == Clock::time_point::max()
                         ? ""
                         : fmt::format(", and it is tried again every {:g} s",
                                       seconds_of(settings_.policy.retry_max))));
  }
}

void Destination::drop_link() {
  if (!link_) return;
  retired_.push_back(std::move(link_));
  link_.reset();
  while (auto offer = offers_.next()) {
    ledger_.end(offer->id, false, false);
    offers_.recycle(std::move(offer->data));
  }
  offers_.free_spare();
  ledger_.lost();
  merging_ = false;
  unsaved_ = insecure_ = true;
  changed_.notify_all();
}

}  // namespace fanout
