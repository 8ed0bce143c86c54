// SPDX-License-Identifier: BSD-3-Clause
//
// The cache of L2 slices, over an array in place of a file.
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <latch>
#include <map>
#include <mutex>
#include <thread>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/tables/l2_cache.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace qcow2;

namespace {

constexpr uint64_t entries_in_slice = 64;

// What was written of it, and how often slices were read.
struct Disk {
  std::mutex mutex;
  std::map<uint64_t, std::vector<std::byte>> slices;
  std::atomic<unsigned> reads = 0;

  void read(uint64_t number, std::span<std::byte> buffer) {
    ++reads;
    std::lock_guard lock(mutex);
    auto found = slices.find(number);
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
    if (found != slices.end())
      std::copy(found->second.begin(), found->second.end(), buffer.begin());
  }
  void write(const Entries &entries) {
    std::vector<std::byte> bytes;
    entries.encode(bytes);
    std::lock_guard lock(mutex);
    slices[entries.number()] = bytes;
  }
};

L2Cache::Read reader(Disk &disk) {
  return [&](uint64_t number, std::span<std::byte> buffer) { disk.read(number, buffer); };
}

}  // namespace

TEST_CASE("a changed slice stays until it is taken, others are replaced") {
  Disk disk;
  L2Cache cache(entries_in_slice, 0, reader(disk));
  for (uint64_t n = 0; n < 1000; ++n) {
    Entries entries = cache.pin(n);
    REQUIRE(
        entries.replace_if(n * entries_in_slice + 3, unallocated, data_entry(n << 16 | 1 << 16)));
    entries.changed();
  }
  CHECK(cache.is_crowded());
  for (uint64_t n = 0; n < 1000; ++n) {
    CHECK(cache.pin(n).value(n * entries_in_slice + 3) == data_entry(n << 16 | 1 << 16));
  }
  CHECK(disk.reads == 1000);
  {
    auto changed = cache.take_changed();
    REQUIRE(changed.size() == 1000);
    CHECK(changed.front().number() == 0);
    CHECK(changed.back().number() == 999);
    for (const Entries &entries : changed) disk.write(entries);
    CHECK(cache.is_crowded());
  }
  cache.give_back(1000);
  CHECK_FALSE(cache.wants_writing());
  CHECK_FALSE(cache.is_crowded());
  CHECK(cache.take_changed().empty());
  for (uint64_t n = 1000; n < 1200; ++n) cache.pin(n);
  for (uint64_t n = 0; n < 1000; ++n) {
    CHECK(cache.pin(n).value(n * entries_in_slice + 3) == data_entry(n << 16 | 1 << 16));
  }
  CHECK(disk.reads > 2100);  // hardly any of them was still there
}

TEST_CASE("a slice that is used is not read again") {
  Disk disk;
  L2Cache cache(entries_in_slice, 1 << 20, reader(disk));
  for (int round = 0; round < 3; ++round) {
    for (uint64_t n = 0; n < 100; ++n) cache.pin(n);
  }
  CHECK(disk.reads == 100);
}

TEST_CASE("many threads that miss one slice cause one read of it") {
  std::atomic<unsigned> reads = 0;
  std::latch all_wait(1);
  L2Cache cache(entries_in_slice, 0, [&](uint64_t, std::span<std::byte> buffer) {
    ++reads;
    all_wait.wait();
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
    store_be<uint64_t>(buffer.data(), data_entry(65536));
  });
  std::atomic<unsigned> right = 0;
  {
    std::deque<testing::WaitingThread> pool;
    for (int t = 0; t < 8; ++t) {
      pool.emplace_back([&] {
        if (cache.pin(5).value(5 * entries_in_slice) == data_entry(65536)) ++right;
      });
    }
    for (auto &one : pool) CHECK(one.waits());  // one for the disk, the others for that one
    all_wait.count_down();
  }
  CHECK(right == 8);
  CHECK(reads == 1);
}

TEST_CASE("a slice that cannot be read is an error, and is read again when it is asked for again") {
  bool broken = true;
  L2Cache cache(entries_in_slice, 0, [&](uint64_t, std::span<std::byte> buffer) {
    if (broken) util::fail(EIO, "broken");
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
  });
  CHECK_THROWS_WITH(cache.pin(1), "broken");
  broken = false;
  CHECK(cache.pin(1).value(entries_in_slice) == unallocated);
}

TEST_CASE("a claim does not show in the value of any kind of entry") {
  Disk disk;
  L2Cache cache(entries_in_slice, 0, reader(disk));
  Entries entries = cache.pin(0);
  for (Entry entry : {unallocated, zero_plain, data_entry(1 << 16),
                      data_entry(1 << 16) | zero_plain, compressed | 0x3fff'ffff'ffff'ffff}) {
    entries.release(0, entry);
    CHECK(entries.value(0) == entry);
    CHECK(entries.try_claim(0, entry));
    CHECK_FALSE(entries.try_claim(0, entry));
    CHECK_FALSE(entries.replace_if(0, entry, unallocated));
    CHECK(entries.is_claimed(0));
    CHECK(entries.value(0) == entry);
    entries.release(0, unallocated);
    CHECK_FALSE(entries.is_claimed(0));
  }
}

TEST_CASE("four threads count in entries of far too many slices, and no count is lost") {
  Disk disk;
  L2Cache cache(entries_in_slice, 0, reader(disk));
  std::mutex flushing;
  auto flush = [&] {
    std::lock_guard lock(flushing);
    size_t count = 0;
    for (const Entries &entries : cache.take_changed()) disk.write(entries), ++count;
    cache.give_back(count);
  };
  constexpr uint64_t slices = 300;
  {
    std::vector<std::jthread> pool;
    for (unsigned t = 0; t < 4; ++t) {
      pool.emplace_back([&] {
        for (uint64_t i = 0; i < 6000; ++i) {
          uint64_t cluster = i * 7919 % slices * entries_in_slice;
          Entries entries = cache.pin(cluster / entries_in_slice);
          for (Entry old = entries.value(cluster);
               !entries.replace_if(cluster, old, old + 512 * 2);) {
            old = entries.value(cluster);
          }
          entries.changed();
          if (cache.wants_writing()) flush();
        }
      });
    }
  }
  uint64_t sum = 0;
  for (uint64_t n = 0; n < slices; ++n) {
    sum += host_offset(cache.pin(n).value(n * entries_in_slice)) / 1024;
  }
  CHECK(sum == 4 * 6000);
}
