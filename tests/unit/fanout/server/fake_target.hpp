// SPDX-License-Identifier: BSD-3-Clause
//
// A server in memory. The test decides when and how it answers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <thread>
#include <vector>

#include "common/util/mutex.hpp"
#include "filters/fanout/server/request.hpp"
#include "filters/fanout/server/target.hpp"

struct Call {
  char kind;  // w, z, f, r
  uint64_t offset;
  uint64_t count;
  uint32_t flags;
  bool operator==(const Call &) const = default;
};

// What nbd::Connection does with a command that has been answered. The filter submits no other
// commands.
inline void complete(nbd::Command &command, int errnum) {
  static_cast<fanout::DestinationRequest &>(command).completed(errnum);
}

class FakeTarget : public fanout::Target {
 public:
  explicit FakeTarget(uint64_t size) : content(size, std::byte{0xff}) {
    information.size = size;
    information.can_flush = information.can_fua = information.can_zero = true;
  }

  const nbd::Info &info() const override { return information; }
  size_t connections() const override { return 1; }
  bool dead() const override { return is_dead; }
  void submit(nbd::Command &command) override {
    {
      util::MutexLock lock(mutex_);
      calls_.push_back({kind(command), command.offset, command.count, command.flags});
      if (!at_once) {
        held_.push_back(&command);
        most_held_ = std::max(most_held_, held_.size());
        return;
      }
    }
    const bool fails = kind(command) == 'r' && failing_reads > 0 && failing_reads-- > 0;
    answer(command, fails ? EIO : errnum.load());
  }

  // Answers one by one what it has been sent so far, or of that the requests of one kind; returns
  // how many there were.
  size_t answer_all(int with_errnum = 0, char of_kind = 0) {
    for (size_t n = 0;; ++n) {
      nbd::Command *next = nullptr;
      {
        util::MutexLock lock(mutex_);
        auto it = std::ranges::find_if(
            held_, [&](nbd::Command *c) { return of_kind == 0 || kind(*c) == of_kind; });
        if (it == held_.end()) return n;
        next = *it;
        held_.erase(it);
      }
      answer(*next, with_errnum);
    }
  }
  // Answers the one that came last.
  void answer_last(int with_errnum = 0) {
    nbd::Command *last = nullptr;
    {
      util::MutexLock lock(mutex_);
      last = held_.back();
      held_.pop_back();
    }
    answer(*last, with_errnum);
  }
  // What is of one kind and not answered at once is answered as it comes, until `condition` holds.
  template <typename F>
  void answer_until(char of_kind, F &&condition) {
    while (!condition()) {
      if (answer_all(0, of_kind) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  // From now on everything is answered at once.
  void release() {
    at_once = true;
    answer_all();
  }
  size_t held() {
    util::MutexLock lock(mutex_);
    return held_.size();
  }
  std::vector<Call> calls() {
    util::MutexLock lock(mutex_);
    return calls_;
  }
  size_t most_held() {
    util::MutexLock lock(mutex_);
    return most_held_;
  }

  nbd::Info information;
  std::atomic<bool> is_dead = false;
  std::atomic<bool> at_once = true;    // else answered by answer_all()
  std::atomic<int> errnum = 0;         // of what is answered at once
  std::atomic<int> failing_reads = 0;  // so many of what is answered at once
  std::vector<std::byte> content;

 private:
  static char kind(const nbd::Command &command) {
    switch (command.operation) {
      case nbd::Operation::write:
        return 'w';
      case nbd::Operation::zero:
        return 'z';
      case nbd::Operation::read:
        return 'r';
      default:
        return 'f';
    }
  }
  void answer(nbd::Command &command, int e) {
    if (e == 0) carry_out(command);
    complete(command, e);
  }
  // A server may be asked to read what it is asked to write at the same time.
  void carry_out(const nbd::Command &command) {
    util::MutexLock lock(content_mutex_);
    std::byte *here = content.data() + command.offset;
    if (command.operation == nbd::Operation::write) std::memcpy(here, command.data, command.count);
    if (command.operation == nbd::Operation::zero) std::memset(here, 0, command.count);
    if (command.operation == nbd::Operation::read) std::memcpy(command.into, here, command.count);
  }

  util::Mutex mutex_, content_mutex_;
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::deque<nbd::Command *> held_ ABSL_GUARDED_BY(mutex_);
  size_t most_held_ ABSL_GUARDED_BY(mutex_) = 0;
};
