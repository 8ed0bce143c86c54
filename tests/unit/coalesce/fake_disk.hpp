// SPDX-License-Identifier: BSD-3-Clause
//
// A simulated disk that records the requests it gets.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "common/extents/extent_map.hpp"
#include "common/extents/range_set.hpp"
#include "filters/coalesce/lower_connection.hpp"

namespace coalesce {

class FakeDisk {
 public:
  FakeDisk(uint64_t size, std::chrono::microseconds delay)
      : bytes(size), map(size), bad(size), delay_(delay) {
    // A pattern of 64 KiB, and in each sector its number: filling in every byte takes long unoptimised.
    std::vector<std::byte> pattern(1u << 16);
    for (uint64_t i = 0; i < pattern.size(); ++i) pattern[i] = std::byte(i * 7 + (i >> 8) * 31);
    for (uint64_t at = 0; at < size; at += pattern.size()) {
      std::memcpy(&bytes[at], pattern.data(), std::min<uint64_t>(pattern.size(), size - at));
    }
    for (uint64_t at = 0; at + 512 <= size; at += 512) std::memcpy(&bytes[at], &at, sizeof at);
  }

  void read(std::span<std::byte> buffer, uint64_t offset) {
    before_read({offset, buffer.size()});
    {
      std::unique_lock lock(mutex_);
      ++reads;
      read_bytes += buffer.size();
      longest = std::max<uint64_t>(longest, buffer.size());
      most_at_once = std::max(most_at_once, ++at_once_);
      list.push_back({offset, buffer.size()});
      gathered_.notify_all();
      if (reads > alone) {
        gathered_.wait_for(lock, std::chrono::minutes(10), [&] { return most_at_once >= gather; });
      }
    }
    {
      // The content is read at once and returned after the delay, as by a disk.
      std::shared_lock lock(content_);
      std::memcpy(buffer.data(), bytes.data() + offset, buffer.size());
    }
    std::this_thread::sleep_for(delay_);
    std::lock_guard lock(mutex_);
    --at_once_;
    if (!bad.intersects({offset, buffer.size()})) return;
    std::memset(buffer.data(), 0xee, buffer.size());  // what a failed read leaves
    throw std::runtime_error("bad sector");
  }
  void write(uint64_t offset, uint64_t length, std::byte value) {
    std::unique_lock lock(content_);
    std::memset(bytes.data() + offset, static_cast<int>(value), length);
  }
  std::vector<extents::Extent> extents(extents::Range range) {
    std::lock_guard lock(mutex_);
    ++queries;
    if (extents_fail) throw std::runtime_error("no extents");
    return map.slice(range);
  }
  // Waits for so many reads; false after ten minutes.
  bool wait_for_reads(uint64_t count) {
    for (int i = 0; i < 600000; ++i) {
      {
        std::lock_guard lock(mutex_);
        if (reads >= count) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  void reset_counters() {
    std::lock_guard lock(mutex_);
    reads = read_bytes = longest = queries = 0;
    list.clear();
  }

  std::vector<std::byte> bytes;
  extents::ExtentMap map;
  extents::RangeSet bad;                                          // reads that touch it fail
  std::function<void(extents::Range)> before_read = [](auto) {};  // with no lock held
  bool extents_fail = false;
  uint64_t reads = 0, read_bytes = 0, longest = 0, queries = 0;
  unsigned most_at_once = 0;
  // The reads after the first `alone` wait until `gather` were there at once; ten minutes at most.
  unsigned gather = 0;
  uint64_t alone = 0;
  std::vector<extents::Range> list;  // of reads

 private:
  std::mutex mutex_;  // protects the counters
  std::shared_mutex content_;
  std::condition_variable gathered_;  // with mutex_
  unsigned at_once_ = 0;
  const std::chrono::microseconds delay_;
};

// Holds the threads that come to it until it is opened.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    --held_;
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_until_held(unsigned threads = 1) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_ >= threads; });
  }
  unsigned held() {
    std::lock_guard lock(mutex_);
    return held_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  unsigned held_ = 0;  // threads
  bool open_ = false;
};

class FakeConnection : public LowerConnection {
 public:
  explicit FakeConnection(FakeDisk &disk) : disk_(disk) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override { disk_.read(buffer, offset); }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return disk_.extents(range);
  }

 private:
  FakeDisk &disk_;
};

}  // namespace coalesce
