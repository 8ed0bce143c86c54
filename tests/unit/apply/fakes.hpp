// SPDX-License-Identifier: BSD-3-Clause
//
// A source and a destination in memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/extents/extent_map.hpp"
#include "common/util/error.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/source/source.hpp"
#include "tests/unit/directory.hpp"

namespace apply {

using Content = std::vector<std::byte>;

using testing::Directory;

// What a test does to the source while the job has it.
struct FakeDisk {
  explicit FakeDisk(extents::ExtentMap view) : FakeDisk(std::move(view), view.size()) {}
  FakeDisk(extents::ExtentMap view, size_t length) : map(std::move(view)), bytes(length) {}
  extents::ExtentMap map;
  Content bytes;  // what is beyond its end is zero
  std::string description;
  bool gone = false;
  bool readable = true;
  std::function<void()> on_honest;        // called once, when it is asked for the export honest
  int asked = 0;                          // how often it was asked whether it still shows this
  std::function<void()> confirm = [] {};  // called then
};

class FakeSource : public Source {
 public:
  explicit FakeSource(FakeDisk &disk) : disk_(disk) {}
  const std::string &name() const override { return name_; }
  DeltaView load() override { return {DeltaMap(disk_.map), disk_.description}; }
  std::unique_ptr<DiskBytes> connect(const DeltaView &) override {
    if (disk_.gone) util::fail(ECONNREFUSED, "the source is gone");
    if (!disk_.readable) return nullptr;
    return std::make_unique<FakeBytes>(disk_);
  }
  std::unique_ptr<DiskBytes> honest(const DeltaView &) override {
    if (auto called = std::exchange(disk_.on_honest, nullptr)) called();
    if (!disk_.readable) return nullptr;
    return std::make_unique<FakeBytes>(disk_);
  }
  void confirm(const DeltaView &) override {
    ++disk_.asked;
    disk_.confirm();
  }

 private:
  class FakeBytes : public DiskBytes {
   public:
    explicit FakeBytes(FakeDisk &disk) : disk_(disk) {}
    void read(std::span<const DiskRead> reads) override {
      if (disk_.gone) util::fail(ECONNREFUSED, "the source is gone");
      for (const DiskRead &r : reads) {
        size_t from = std::min<size_t>(r.offset, disk_.bytes.size());
        size_t length = std::min(disk_.bytes.size() - from, r.buffer.size());
        auto rest = std::copy_n(disk_.bytes.begin() + static_cast<ptrdiff_t>(from), length,
                                r.buffer.begin());
        std::fill(rest, r.buffer.end(), std::byte{0});
      }
    }

   private:
    FakeDisk &disk_;
  };
  FakeDisk &disk_;
  std::string name_ = "fake source";
};

struct Broken {};  // what the layer below throws: no room knows its type

// now: what reads return. durable: what may be left by a crash.
class FakeDestination : public DestinationDisk {
 public:
  explicit FakeDestination(Content content) : now(content), durable(std::move(content)) {}

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) override {
    change(offset, buffer.size(), fua, [&](size_t i) { return buffer[i]; });
  }
  void zero(extents::Range range, ZeroFlags flags) override {
    change(range.offset, range.length, flags.fua, [](size_t) { return std::byte{0}; });
  }
  void flush() override {
    std::unique_lock guard(lock);
    if (auto before = std::exchange(before_flush, nullptr)) {
      guard.unlock();
      before();
      guard.lock();
    }
    check();
    if (fail_flush) throw Broken{};
    fit();
    tell_of_loss();
    for (size_t i = 0; i < now.size(); ++i) {
      if (!lost.at(i)) durable.at(i) = now.at(i);
    }
    ++flushes;
    check();
    auto called = std::exchange(after_flush, nullptr);
    guard.unlock();
    if (called) called();
  }
  bool native_fua() const override { return fua; }
  bool flush_covers_all() const override { return covers_all; }
  uint64_t size() const override { return now.size(); }
  const std::string &description() const override { return image; }
  uint32_t minimum_block() const override { return block; }
  void read(std::span<std::byte> buffer, uint64_t offset) override {
    std::lock_guard guard(lock);
    if (fail_read || offset % block != 0) throw Broken{};
    std::copy_n(now.begin() + static_cast<ptrdiff_t>(offset), buffer.size(), buffer.begin());
  }

  Content now, durable;
  std::vector<bool> lost;  // now, and never durable unless written again
  std::string image;
  bool fua = false;
  int fail_in = -1;  // requests until one fails with half of its work done; negative: none
  bool fail_flush = false;
  // What is not durable is lost. The next flush, or request with FUA, tells of it, once, as a kernel does; reads do
  // not.
  bool loses = false;
  int flushes = 0;                     // that succeeded
  std::function<void()> before_flush;  // called once, when a flush is passed on
  std::function<void()>
      after_flush;  // called once, when a flush has done its work and not yet answered
  bool fail_read = false;
  std::atomic<bool> covers_all = true;
  uint32_t block = 1;
  std::function<void()> check = [] {};  // called around each change, with the lock held
  std::mutex lock;

 private:
  // A test may have made it larger.
  void fit() {
    durable.resize(now.size());
    lost.resize(now.size());
  }
  void tell_of_loss() {
    if (!std::exchange(loses, false)) return;
    for (size_t i = 0; i < now.size(); ++i) lost.at(i) = now.at(i) != durable.at(i);
    throw Broken{};
  }

  void change(uint64_t offset, size_t length, bool durably,
              const std::function<std::byte(size_t)> &value) {
    std::lock_guard guard(lock);
    check();
    fit();
    bool fails = fail_in >= 0 && fail_in-- == 0;
    for (size_t i = 0; i < (fails ? length / 2 : length); ++i) {
      now.at(offset + i) = fails ? std::byte{0xee} : value(i);
      lost.at(offset + i) = false;
    }
    if (fails) throw Broken{};
    if (durably) tell_of_loss();
    for (size_t i = 0; durably && i < length; ++i) durable.at(offset + i) = now.at(offset + i);
    check();
  }
};

}  // namespace apply
