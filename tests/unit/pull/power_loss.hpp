// SPDX-License-Identifier: BSD-3-Clause
//
// A local disk and a state file that may lose power at any instant: after each step it is looked at what would be there
// then, and whether that is right.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/extents/range_set.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/disk/local_disk.hpp"

namespace testing {

using Bytes = std::vector<std::byte>;

class PowerLoss {
 public:
  static constexpr unsigned background =
      0;  // the connection by which is fetched; clients have others

  // What is there after a power loss.
  struct Left {
    Bytes disk;
    replication::State state;
  };

  // covers_all: a flush of one connection covers all of them. The state is at `path`, and durable.
  PowerLoss(Bytes source, Bytes disk, std::string path, bool covers_all)
      : source_(std::move(source)), path_(std::move(path)), covers_all_(covers_all) {
    for (size_t i = 0; i < disk.size(); ++i) bytes_.push_back({disk[i], disk[i], {}, {}, {}});
    durable_state_ = replication::load_state(path_);
    for (size_t i = 0; i < bytes_.size(); ++i) {
      bytes_[i].client = owes(*durable_state_, i) ? source_[i] : disk[i];
      bytes_[i].allowed.set(static_cast<uint8_t>(bytes_[i].client));
    }
  }

  // What the clients know. `value` of the range is written next; what was written to it is flushed.
  void client_writes(extents::Range range, std::byte value) {
    util::MutexLock lock(mutex_);
    for (uint64_t i = range.offset; i < range.end(); ++i) {
      bytes_[i].allowed.set(static_cast<uint8_t>(value));
      bytes_[i].client = value;
    }
  }
  void client_flushed(extents::Range range) {
    util::MutexLock lock(mutex_);
    for (uint64_t i = range.offset; i < range.end(); ++i) {
      bytes_[i].allowed.reset();
      bytes_[i].allowed.set(static_cast<uint8_t>(bytes_[i].client));
    }
    check();
  }
  bool client_reads(extents::Range range, const Bytes &found) {
    util::MutexLock lock(mutex_);
    for (uint64_t i = 0; i < range.length; ++i) {
      if (found[i] != bytes_[range.offset + i].client) return false;
    }
    return true;
  }

  // The disk, by the connection.
  void read(std::span<std::byte> buffer, uint64_t offset) {
    util::MutexLock lock(mutex_);
    for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = bytes_[offset + i].now;
  }
  // values: nothing for zeroes. durable: these bytes alone are, when it returns.
  void write(unsigned connection, extents::Range range, const std::byte *values, bool durable) {
    util::MutexLock lock(mutex_);
    if (connection != background && durable_state_->pull != "written") {
      violation_ = "a client changes the disk before the state says so";
    }
    ++clock_;
    for (uint64_t i = 0; i < range.length; ++i) {
      Byte &byte = bytes_[range.offset + i];
      byte.now = values == nullptr ? std::byte{0} : values[i];
      byte.unsynced.push_back({clock_, byte.now, connection, false});
    }
    check();
    for (uint64_t i = range.offset; durable && i < range.end(); ++i) {
      bytes_[i].durable = bytes_[i].now;
      bytes_[i].unsynced.clear();
    }
  }
  uint64_t begin_flush() {
    util::MutexLock lock(mutex_);
    check();
    return ++clock_;
  }
  // failed: what was written before is lost, though reads still find it, and no other flush says so. What clients had
  // written may be anything then, until they write it again: each of them is told by its next flush.
  void end_flush(unsigned connection, uint64_t begun, bool failed) {
    util::MutexLock lock(mutex_);
    for (Byte &byte : bytes_) {
      const Unsynced *last = nullptr;
      for (Unsynced &u : byte.unsynced) {
        if (u.time > begun || (!covers_all_ && u.connection != connection)) continue;
        u.lost |= failed;
        if (failed && u.connection != background) byte.allowed.set();
        if (!u.lost) last = &u;
      }
      if (failed || last == nullptr) continue;
      byte.durable = last->value;
      const uint64_t time = last->time;
      std::erase_if(byte.unsynced, [&](const Unsynced &u) { return u.time <= time; });
    }
    check();
  }
  bool is_zero(extents::Range range) {
    util::MutexLock lock(mutex_);
    return std::all_of(bytes_.begin() + static_cast<ptrdiff_t>(range.offset),
                       bytes_.begin() + static_cast<ptrdiff_t>(range.end()),
                       [](const Byte &b) { return b.now == std::byte{0}; });
  }

  // The state's directory is being synced: what its name is of now, stays.
  void state_synced() {
    auto state = replication::load_state(path_);
    util::MutexLock lock(mutex_);
    durable_state_ = std::move(state);
    check();
  }

  // The power is lost at the instant when `steps` have been looked at. What is left then, or at the end.
  void lose_after(uint64_t steps, uint64_t seed) {
    util::MutexLock lock(mutex_);
    lose_at_ = steps;
    random_.seed(seed);
  }
  Left left() {
    util::MutexLock lock(mutex_);
    if (!left_) lose();
    return *left_;
  }
  // What clients read, in the end.
  Bytes client_view() {
    util::MutexLock lock(mutex_);
    Bytes view;
    for (const Byte &byte : bytes_) view.push_back(byte.client);
    return view;
  }
  std::string violation() {
    util::MutexLock lock(mutex_);
    return violation_;
  }
  uint64_t steps() {
    util::MutexLock lock(mutex_);
    return steps_;
  }

 private:
  struct Unsynced {
    uint64_t time;
    std::byte value;
    unsigned connection;
    bool lost;  // no flush will cover it
  };
  using Values = std::bitset<256>;
  struct Byte {
    std::byte durable, now;
    std::byte client;  // what clients read
    Values allowed;    // what it may be after a power loss
    std::deque<Unsynced> unsynced;
  };

  static bool owes(const replication::State &state, uint64_t offset) {
    return std::any_of(state.owed.begin(), state.owed.end(),
                       [&](const auto &r) { return r.offset <= offset && offset < r.end(); });
  }

  void check() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (++steps_ == lose_at_) lose();
    const auto visible = replication::load_state(path_);
    check(*durable_state_);
    check(*visible);
  }
  void check(const replication::State &state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    extents::RangeSet owed(bytes_.size());
    for (const extents::Range &range : state.owed) owed.add(range);
    // clang does not see that the lock is held while split calls this.
    const Byte *bytes = bytes_.data();
    std::string *violation = &violation_;
    const uint64_t step = steps_;
    owed.split({0, bytes_.size()}, [&](extents::Range range, bool is_owed) {
      for (uint64_t i = range.offset; i < range.end(); ++i) {
        const Byte &byte = bytes[i];
        bool right = byte.allowed[static_cast<uint8_t>(is_owed ? source_[i] : byte.durable)];
        if (!is_owed) {
          for (const Unsynced &u : byte.unsynced)
            right &= byte.allowed[static_cast<uint8_t>(u.value)];
        }
        if (!right && violation->empty()) {
          *violation = fmt::format("byte {} is wrong after a power loss at step {}; owed: {}", i,
                                   step, is_owed);
        }
      }
      return true;
    });
  }
  void lose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    left_.emplace();
    left_->state = random_() % 2 == 0 ? *durable_state_ : *replication::load_state(path_);
    for (const Byte &byte : bytes_) {
      const size_t which = random_() % (byte.unsynced.size() + 1);
      left_->disk.push_back(which == 0 ? byte.durable : byte.unsynced[which - 1].value);
    }
  }

  const Bytes source_;
  const std::string path_;
  const bool covers_all_;
  util::Mutex mutex_;
  std::vector<Byte> bytes_ ABSL_GUARDED_BY(mutex_);
  std::optional<replication::State> durable_state_ ABSL_GUARDED_BY(mutex_);
  uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t steps_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t lose_at_ ABSL_GUARDED_BY(mutex_) = UINT64_MAX;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::optional<Left> left_ ABSL_GUARDED_BY(mutex_);
  std::string violation_ ABSL_GUARDED_BY(mutex_);  // the first
};

// One connection to it.
class LosingDisk : public pull::LocalDisk {
 public:
  // faulty: every eighth flush and request with FUA fails, and every sixteenth write of what was fetched.
  LosingDisk(PowerLoss &power, unsigned connection, unsigned seed, bool faulty)
      : power_(power), connection_(connection), faulty_(faulty), random_(seed) {}

  void read(std::span<std::byte> buffer, uint64_t offset) override { power_.read(buffer, offset); }
  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) override {
    change({offset, buffer.size()}, buffer.data(), durable);
  }
  void zero(extents::Range range, Hole, bool durable) override { change(range, nullptr, durable); }
  void fast_zero(extents::Range range, Hole) override {
    if (fails(4)) util::fail(ENOTSUP, "not fast");
    power_.write(connection_, range, nullptr, false);
  }
  void flush() override {
    const uint64_t begun = power_.begin_flush();
    const bool failed = fails(8);
    power_.end_flush(connection_, begun, failed);
    if (failed) util::fail(EIO, "the flush has failed");
  }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return {{range.offset, range.length,
             power_.is_zero(range) ? extents::hole | extents::zero : extents::data}};
  }

 private:
  void change(extents::Range range, const std::byte *values, bool durable) {
    if (connection_ == PowerLoss::background && fails(16)) util::fail(ENOSPC, "no room");
    const uint64_t begun = durable ? power_.begin_flush() : 0;
    const bool failed = durable && fails(8);
    power_.write(connection_, range, values, durable && !failed);
    if (!failed) return;
    power_.end_flush(connection_, begun, true);
    util::fail(EIO, "the request with FUA has failed");
  }
  bool fails(unsigned every) {
    util::MutexLock lock(mutex_);
    return faulty_ && random_() % every == 0;
  }

  PowerLoss &power_;
  const unsigned connection_;
  const bool faulty_;
  util::Mutex mutex_;
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace testing
