// SPDX-License-Identifier: BSD-3-Clause
//
// A server in memory, that answers when and what the test says.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "filters/fanout/server/target.hpp"

struct Call {
  char kind;  // w, z, f, r
  uint64_t offset;
  uint64_t count;
  uint32_t flags;
  bool operator==(const Call &) const = default;
};

class FakeTarget : public fanout::Target {
 public:
  explicit FakeTarget(uint64_t size) : content(size, std::byte{0xff}) {
    information.size = size;
    information.can_flush = information.can_fua = information.can_zero = true;
  }

  const nbd::Info &info() const override { return information; }
  bool dead() const override { return is_dead; }
  void pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags,
              fanout::Completion done) override {
    answer({'w', offset, buffer.size(), flags}, std::move(done), [this, buffer, offset] {
      std::memcpy(content.data() + offset, buffer.data(), buffer.size());
    });
  }
  void pread(std::span<std::byte> buffer, uint64_t offset, fanout::Completion done) override {
    answer({'r', offset, buffer.size(), 0}, std::move(done), [this, buffer, offset] {
      std::memcpy(buffer.data(), content.data() + offset, buffer.size());
    });
  }
  void zero(uint64_t count, uint64_t offset, uint32_t flags, fanout::Completion done) override {
    answer({'z', offset, count, flags}, std::move(done),
           [this, count, offset] { std::memset(content.data() + offset, 0, count); });
  }
  void flush(fanout::Completion done) override {
    answer({'f', 0, 0, 0}, std::move(done), [] {});
  }

  // Answers one by one what it has been sent so far; returns how many there were.
  size_t answer_all(int errnum = 0) {
    size_t n = 0;
    for (;; ++n) {
      std::function<void(int)> next;
      {
        std::lock_guard guard(lock_);
        if (held_.empty()) return n;
        next = std::move(held_.front());
        held_.erase(held_.begin());
      }
      next(errnum);
    }
  }
  size_t held() {
    std::lock_guard guard(lock_);
    return held_.size();
  }
  std::vector<Call> calls() {
    std::lock_guard guard(lock_);
    return calls_;
  }
  size_t most_held() {
    std::lock_guard guard(lock_);
    return most_held_;
  }

  nbd::Info information;
  std::atomic<bool> is_dead = false;
  std::atomic<bool> at_once = true;  // else answered by answer_all()
  std::atomic<int> errnum = 0;       // of what is answered at once
  std::vector<std::byte> content;

 private:
  void answer(const Call &call, fanout::Completion done, std::function<void()> act) {
    auto finish = [done = std::move(done), act = std::move(act)](int e) {
      if (e == 0) act();
      done(e);
    };
    {
      std::lock_guard guard(lock_);
      calls_.push_back(call);
      if (!at_once) {
        held_.push_back(std::move(finish));
        most_held_ = std::max(most_held_, held_.size());
        return;
      }
    }
    finish(errnum);
  }

  std::mutex lock_;  // protects what follows
  std::vector<Call> calls_;
  std::vector<std::function<void(int)>> held_;
  size_t most_held_ = 0;
};
