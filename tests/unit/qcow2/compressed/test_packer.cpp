// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/rounds.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace qcow2;
using testing::random_bytes;

namespace {

using Bytes = std::vector<std::byte>;

// A store in memory, which counts what is done to it.
class TestStore : public PackedStore {
 public:
  explicit TestStore(uint64_t cluster_size) : cluster_size_(cluster_size), end_(7 * cluster_size) {}

  uint64_t allocate(uint64_t clusters) override {
    std::lock_guard lock(mutex_);
    if (fail_allocate) util::fail(ENOSPC, "full");
    // Something else is allocated now and then.
    if (++allocations % 7 == 0 && !alone) end_ += cluster_size_;
    uint64_t offset = end_;
    end_ += clusters * cluster_size_;
    reserved_ += clusters * cluster_size_;
    bytes_.resize(end_, std::byte{0xee});
    written_.resize(end_);
    return offset;
  }
  void write(std::span<const std::byte> data, uint64_t offset) override {
    std::lock_guard lock(mutex_);
    ++writes;
    if (fail_write) util::fail(EIO, "broken");
    if (offset % std::min<uint64_t>(cluster_size_, 4096) != 0) ++in_a_page;
    REQUIRE(offset + data.size() <= bytes_.size());
    // In this way because byte by byte takes long where a test is not optimised.
    if (std::memchr(&written_[offset], 1, data.size()) != nullptr) ++written_twice;
    std::memset(&written_[offset], 1, data.size());
    std::memcpy(&bytes_[offset], data.data(), data.size());
  }
  void read(std::span<std::byte> buffer, uint64_t offset) const override {
    std::ranges::copy(bytes(offset, buffer.size()), buffer.begin());
  }

  Bytes bytes(uint64_t offset, uint64_t length) const {
    std::lock_guard lock(mutex_);
    uint64_t end = std::min<uint64_t>(offset + length, bytes_.size());
    Bytes range(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                bytes_.begin() + static_cast<std::ptrdiff_t>(end));
    range.resize(length);
    return range;
  }
  uint64_t reserved() const { return reserved_; }

  std::atomic<bool> fail_allocate = false, fail_write = false;
  bool alone = false;  // all allocations are contiguous
  unsigned writes = 0, allocations = 0;
  uint64_t in_a_page = 0;      // writes that begin within a page
  uint64_t written_twice = 0;  // writes of what was written before

 private:
  const uint64_t cluster_size_;
  mutable std::mutex mutex_;
  uint64_t end_;
  uint64_t reserved_ = 0;
  Bytes bytes_;
  std::vector<char> written_;  // of each byte
};

bool holds(const Bytes &range, const Bytes &data) {
  return range.size() >= data.size() && testing::equal(data, std::span(range).first(data.size()));
}

}  // namespace

TEST_CASE("packed data is read back: from memory, and from the store when it has been written out",
          "[single]") {
  for (uint32_t bits : {9u, 12u, 16u, 21u}) {
    uint64_t cluster = uint64_t{1} << bits;
    TestStore store(cluster);
    Packer packer(bits, 65535, store);
    std::map<Entry, Bytes> stored;
    std::mt19937_64 random(bits);
    uint64_t total = 0;
    for (int i = 0; i < (bits == 21 ? 20 : 1000); ++i) {
      Bytes data = random_bytes(random() % max_compressed(bits) / (i % 3 + 1) + 1, random());
      Entry entry = packer.add(data);
      CHECK(stored.emplace(entry, data).second);
      total += data.size();
      if (i % 100 == 50) packer.write_out();
      auto range = compressed_range(entry, bits);
      Bytes back(range.length);
      if (!packer.read(back, range.offset)) back = store.bytes(range.offset, range.length);
      CHECK(holds(back, data));
    }
    auto unused = packer.close();
    for (const auto &[entry, data] : stored) {
      auto range = compressed_range(entry, bits);
      CHECK(holds(store.bytes(range.offset, range.length), data));
      Bytes back(range.length);
      CHECK_FALSE(packer.read(back, range.offset));
    }
    CHECK(store.written_twice == 0);
    CHECK(store.in_a_page == 0);  // a torn write would damage what is older
    uint64_t left = 0;
    for (const auto &range : unused) {
      CHECK(range.offset % cluster == 0);
      left += range.length;
    }
    if (bits == 12 || bits == 16) {
      CHECK(store.reserved() - left < total + total / 50 + 20 * 4096);  // dense
      CHECK(store.writes < 100);
    }
  }
}

TEST_CASE("packed data has no gaps, also across chunks, and is read before all of it is written",
          "[single]") {
  for (uint32_t bits : {12u, 16u, 21u}) {
    uint64_t cluster = uint64_t{1} << bits;
    TestStore store(cluster);
    store.alone = true;
    Packer packer(bits, 65535, store);
    std::mt19937_64 random(bits);
    std::map<Entry, Bytes> stored;
    uint64_t start = 0, at = 0;
    auto check = [&](Entry entry) {
      auto range = compressed_range(entry, bits);
      Bytes back(range.length);
      if (!packer.read(back, range.offset)) back = store.bytes(range.offset, range.length);
      CHECK(holds(back, stored.at(entry)));
    };
    Entry before = 0;
    while (at - start < 24u << 20) {
      Bytes data =
          random_bytes(random() % (max_compressed(bits) / 2) + max_compressed(bits) / 2, at);
      Entry entry = packer.add(data);
      auto range = compressed_range(entry, bits);
      if (start == 0) start = at = range.offset;
      CHECK(range.offset == at);
      at += data.size();
      stored.emplace(entry, std::move(data));
      if (before != 0) check(before);  // its first chunk has just been written, perhaps
      before = entry;
    }
    for (const auto &[entry, data] : stored) check(entry);
    packer.close();
    for (const auto &[entry, data] : stored) {
      auto range = compressed_range(entry, bits);
      CHECK(holds(store.bytes(range.offset, range.length), data));
    }
    CHECK(store.written_twice == 0);
  }
}

TEST_CASE("threads pack at the same time, with others that write out and read") {
  TestStore store(65536);
  Packer packer(16, 65535, store);
  std::atomic<bool> right = true;
  {
    std::vector<std::jthread> pool;
    for (unsigned t = 0; t < 4; ++t) {
      pool.emplace_back([&, t] {
        std::mt19937_64 random(t);
        std::vector<std::pair<Entry, Bytes>> mine;
        for (unsigned i = 0; i < testing::rounds(400); ++i) {
          Bytes data = random_bytes(random() % 30000 + 1, random());
          mine.emplace_back(packer.add(data), data);
          if (i % 50 == t) packer.write_out();
          const auto &[entry, expected] = mine[random() % mine.size()];
          auto range = compressed_range(entry, 16);
          Bytes back(range.length);
          if (!packer.read(back, range.offset)) back = store.bytes(range.offset, range.length);
          if (!holds(back, expected)) right = false;
        }
      });
    }
  }
  CHECK(right);
  packer.close();
  CHECK(store.written_twice == 0);
}

TEST_CASE("no host cluster gets more references than its refcount can say") {
  for (uint64_t most : {1u, 3u, 15u}) {
    TestStore store(4096);
    Packer packer(12, most, store);
    std::map<uint64_t, uint64_t> references;
    for (int i = 0; i < 2000; ++i) {
      Entry entry = packer.add(random_bytes(static_cast<size_t>(i * 37 % 700 + 20), 1));
      for_each_host_cluster(entry, 12, [&](uint64_t c) { ++references[c]; });
    }
    for (auto [cluster, count] : references) CHECK(count <= most);
  }
}

TEST_CASE("when the store fails nothing is lost, and the next call continues") {
  TestStore store(4096);
  Packer packer(12, 65535, store);
  Bytes first = random_bytes(3000, 1);
  auto range = compressed_range(packer.add(first), 12);
  store.fail_write = true;
  CHECK_THROWS_WITH(packer.write_out(), "broken");
  store.fail_allocate = true;
  CHECK_THROWS_AS(
      [&] {
        for (int i = 0; i < 100; ++i) packer.add(random_bytes(3000, 2));
      }(),
      util::Error);
  Bytes back(range.length);
  CHECK(packer.read(back, range.offset));
  CHECK(holds(back, first));
  store.fail_write = false;
  store.fail_allocate = false;
  for (int i = 0; i < 100; ++i) packer.add(random_bytes(3000, 2));
  packer.write_out();
  CHECK(holds(store.bytes(range.offset, range.length), first));
}

TEST_CASE("a chunk is not written while a thread copies data into it") {
  TestStore store(65536);
  Packer packer(16, 65535, store);
  Bytes data = random_bytes(3000, 1);
  durability::SyncPoint::Hold hold("qcow2.packing");
  Entry entry = 0;
  std::jthread one([&] { entry = packer.add(data); });
  hold.wait();
  testing::WaitingThread two([&] { packer.write_out(); });
  CHECK(two.waits());
  hold.release();
  one.join();
  two.join();
  auto range = compressed_range(entry, 16);
  CHECK(holds(store.bytes(range.offset, range.length), data));
}
