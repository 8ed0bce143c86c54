// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>
#include <stdexcept>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/source/remote_disk.hpp"

namespace testing {

// In memory. May be used from any thread.
class FakeLocal : public pull::LocalDisk {
 public:
  explicit FakeLocal(size_t size) : bytes_(size) {}
  void read(std::span<std::byte> buffer, uint64_t offset) override {
    util::MutexLock lock(mutex_);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), buffer.size(), buffer.begin());
  }
  void write(std::span<const std::byte> buffer, uint64_t offset, bool) override {
    if (fails) util::fail(ENOSPC, "no room");
    util::MutexLock lock(mutex_);
    std::copy(buffer.begin(), buffer.end(), bytes_.begin() + static_cast<ptrdiff_t>(offset));
  }
  void zero(extents::Range range, Hole, bool) override {
    ++zeroes;
    util::MutexLock lock(mutex_);
    std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(range.offset), range.length, std::byte{0});
  }
  void fast_zero(extents::Range range, Hole hole) override { zero(range, hole, false); }
  void flush() override {
    ++flushes;
    if (flush_fails) util::fail(EIO, "cannot flush");
  }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return {{range.offset, range.length, is_new ? extents::hole | extents::zero : extents::data}};
  }
  std::byte at(uint64_t offset) {
    util::MutexLock lock(mutex_);
    return bytes_[offset];
  }

  std::atomic<bool> fails = false, flush_fails = false, is_new = false;
  std::atomic<int> zeroes = 0, flushes = 0;

 private:
  util::Mutex mutex_;
  std::vector<std::byte> bytes_ ABSL_GUARDED_BY(mutex_);
};

// Every byte is 's'.
class FakeRemote : public pull::RemoteDisk {
 public:
  void read(std::span<std::byte> buffer, uint64_t, pull::Waiting) override {
    ++reads;
    if (fails) util::fail(EIO, "the source is away");
    std::fill(buffer.begin(), buffer.end(), content);
  }
  void read_map(uint64_t, const std::function<void(const extents::Extent &)> &) override {}
  void add_connections() override {}
  void confirm() override {}
  bool is_given_up() const override { return given_up; }
  void connect_again() override {
    ++connects;
    given_up.wait(true);
  }
  void interrupt() override {}
  void close() override {}

  std::atomic<bool> fails = false, given_up = false;
  std::atomic<int> reads = 0, connects = 0;
  std::byte content{'s'};
};

}  // namespace testing
