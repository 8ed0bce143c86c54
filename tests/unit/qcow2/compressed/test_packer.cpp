// SPDX-License-Identifier: BSD-3-Clause
//
// What is held in memory before it is compressed, and after.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <thread>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/compressed/partial_clusters.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

// The file below a packer, in memory.
class TestFile {
 public:
  explicit TestFile(uint64_t cluster_size) : cluster_size_(cluster_size), end_(7 * cluster_size) {}

  Packer::File functions() {
    return {[this](uint64_t clusters) {
              std::lock_guard lock(mutex_);
              if (fail_allocate) util::fail(ENOSPC, "full");
              // Something else comes between now and then.
              if (++allocations % 7 == 0 && !alone) end_ += cluster_size_;
              uint64_t offset = end_;
              end_ += clusters * cluster_size_;
              reserved_ += clusters * cluster_size_;
              bytes_.resize(end_, std::byte{0xee});
              written_.resize(end_);
              return offset;
            },
            [this](std::span<const std::byte> data, uint64_t offset) {
              std::lock_guard lock(mutex_);
              ++writes;
              if (fail_write) util::fail(EIO, "broken");
              REQUIRE(offset + data.size() <= bytes_.size());
              for (size_t i = 0; i < data.size(); ++i) {
                if (written_[offset + i]) ++written_twice;
                written_[offset + i] = true;
                bytes_[offset + i] = data[i];
              }
            },
            [this](std::span<std::byte> buffer, uint64_t offset) {
              std::ranges::copy(read(offset, buffer.size()), buffer.begin());
            }};
  }
  Bytes read(uint64_t offset, uint64_t length) {
    std::lock_guard lock(mutex_);
    uint64_t end = std::min<uint64_t>(offset + length, bytes_.size());
    Bytes range(bytes_.begin() + static_cast<std::ptrdiff_t>(offset),
                bytes_.begin() + static_cast<std::ptrdiff_t>(end));
    range.resize(length);
    return range;
  }
  uint64_t reserved() const { return reserved_; }

  std::atomic<bool> fail_allocate = false, fail_write = false;
  bool alone = false;  // all that is allocated lies in a row
  unsigned writes = 0, allocations = 0;
  uint64_t written_twice = 0;

 private:
  const uint64_t cluster_size_;
  std::mutex mutex_;
  uint64_t end_;
  uint64_t reserved_ = 0;
  Bytes bytes_;
  std::vector<bool> written_;
};

bool holds(const Bytes &range, const Bytes &data) {
  return range.size() >= data.size() && std::equal(data.begin(), data.end(), range.begin());
}

}  // namespace

TEST_CASE("a part knows what was put, in any order") {
  Part part(3, 1000);
  part.put(random_bytes(100, 1), 200);
  part.put(random_bytes(100, 2), 400);
  CHECK(part.known().size() == 2);
  CHECK(part.gaps({0, 1000}) == std::vector<extents::Range>{{0, 200}, {300, 100}, {500, 500}});
  CHECK(part.gaps({250, 100}) == std::vector<extents::Range>{{300, 50}});
  CHECK(part.gaps({210, 50}).empty());
  part.put(random_bytes(100, 3), 300);  // touches both
  CHECK(part.known() == std::vector<extents::Range>{{200, 300}});
  part.put({}, 600);
  CHECK(part.known().size() == 1);
  CHECK_FALSE(part.is_whole(500));
  part.put(random_bytes(200, 3), 0);
  CHECK(part.is_whole(500));
  CHECK_FALSE(part.is_whole(501));

  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    Part other(0, 300);
    std::vector<bool> model(300);
    for (int i = 0; i < 20; ++i) {
      size_t at = random() % 300, n = random() % (300 - at) % 30 + 1;
      other.put(Bytes(n, std::byte(i)), at);
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), n, true);
      std::vector<bool> known(300, true);
      for (auto gap : other.gaps({0, 300})) {
        std::fill_n(known.begin() + static_cast<std::ptrdiff_t>(gap.offset), gap.length, false);
      }
      CHECK(known == model);
    }
  }
}

TEST_CASE("parts are bounded, owned by one, and the oldest goes first") {
  Gather gather(1024, 3 * 1024);
  CHECK(gather.is_empty());
  CHECK_FALSE(gather.own(5));
  for (uint64_t c : {5u, 6u, 7u}) gather.own_or_add(c).value()->put(Bytes(10), 0);
  gather.own_or_add(5).value()->put(Bytes(10), 20);
  CHECK_FALSE(gather.own_or_add(8));
  CHECK(gather.clusters(0, 7) == std::vector<uint64_t>{5, 6});
  {
    auto oldest = gather.own_oldest();
    CHECK((*oldest)->cluster() == 6);
    auto next = gather.own_oldest();
    CHECK((*next)->cluster() == 7);
    oldest->drop();
    CHECK_FALSE(gather.own_oldest());  // there is room
  }
  CHECK(gather.own_or_add(8));
  CHECK(gather.clusters(0, 100) == std::vector<uint64_t>{5, 7, 8});

  // Whoever wants what another owns waits for it.
  std::atomic<bool> released = false;
  auto owned = gather.own(5);
  std::jthread waits([&] {
    auto again = gather.own(5);
    CHECK(released);
    CHECK((*again)->known().size() == 2);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  released = true;
  { auto end = std::move(owned); }
}

TEST_CASE(
    "what is packed is found again: in memory, and in the file when it has been written out") {
  for (uint32_t bits : {9u, 12u, 16u, 21u}) {
    uint64_t cluster = uint64_t{1} << bits;
    TestFile file(cluster);
    Packer packer(bits, 65535, file.functions());
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
      if (!packer.read(back, range.offset)) back = file.read(range.offset, range.length);
      CHECK(holds(back, data));
    }
    Packer::Rest rest = packer.close();
    for (const auto &[entry, data] : stored) {
      auto range = compressed_range(entry, bits);
      CHECK(holds(file.read(range.offset, range.length), data));
      Bytes back(range.length);
      CHECK_FALSE(packer.read(back, range.offset));
    }
    CHECK(file.written_twice == 0);
    uint64_t left = 0;
    for (const auto &range : rest.unused) {
      CHECK(range.offset % cluster == 0);
      left += range.length;
    }
    if (bits == 12 || bits == 16) {
      CHECK(file.reserved() - left < total + total / 50 + 20 * 4096);  // dense
      CHECK(file.writes < 100);
    }
  }
}

TEST_CASE(
    "what is packed lies without gaps, across chunks too, and is read before all is written") {
  for (uint32_t bits : {12u, 16u, 21u}) {
    uint64_t cluster = uint64_t{1} << bits;
    TestFile file(cluster);
    file.alone = true;
    Packer packer(bits, 65535, file.functions());
    CHECK(Packer(bits, 65535, file.functions()).close().end == 0);
    std::mt19937_64 random(bits);
    std::map<Entry, Bytes> stored;
    uint64_t start = 0, at = 0;
    auto check = [&](Entry entry) {
      auto range = compressed_range(entry, bits);
      Bytes back(range.length);
      if (!packer.read(back, range.offset)) back = file.read(range.offset, range.length);
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
    uint64_t end = packer.close().end;
    CHECK(end >= at);
    CHECK(end - at < 4096);  // the page
    for (const auto &[entry, data] : stored) {
      auto range = compressed_range(entry, bits);
      CHECK(holds(file.read(range.offset, range.length), data));
    }
    CHECK(file.written_twice == 0);
  }
}

TEST_CASE("threads pack at the same time, with others that write out and read") {
  TestFile file(65536);
  Packer packer(16, 65535, file.functions());
  std::atomic<bool> right = true;
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < 4; ++t) {
      pool.emplace_back([&, t] {
        std::mt19937_64 random(static_cast<unsigned>(t));
        std::vector<std::pair<Entry, Bytes>> mine;
        for (int i = 0; i < 400; ++i) {
          Bytes data = random_bytes(random() % 30000 + 1, random());
          mine.emplace_back(packer.add(data), data);
          if (i % 50 == t) packer.write_out();
          const auto &[entry, expected] = mine[random() % mine.size()];
          auto range = compressed_range(entry, 16);
          Bytes back(range.length);
          if (!packer.read(back, range.offset)) back = file.read(range.offset, range.length);
          if (!holds(back, expected)) right = false;
        }
      });
    }
  }
  CHECK(right);
  packer.close();
  CHECK(file.written_twice == 0);
}

TEST_CASE("no host cluster gets more references than its refcount can say") {
  for (uint64_t most : {1u, 3u, 15u}) {
    TestFile file(4096);
    Packer packer(12, most, file.functions());
    std::map<uint64_t, uint64_t> references;
    for (int i = 0; i < 2000; ++i) {
      Entry entry = packer.add(random_bytes(static_cast<size_t>(i * 37 % 700 + 20), 1));
      for_each_host_cluster(entry, 12, [&](uint64_t c) { ++references[c]; });
    }
    for (auto [cluster, count] : references) CHECK(count <= most);
  }
}

TEST_CASE("when the file takes nothing, nothing is lost and the next try goes on") {
  TestFile file(4096);
  Packer packer(12, 65535, file.functions());
  Bytes first = random_bytes(3000, 1);
  auto range = compressed_range(packer.add(first), 12);
  file.fail_write = true;
  CHECK_THROWS_WITH(packer.write_out(), "broken");
  file.fail_allocate = true;
  CHECK_THROWS_AS(
      [&] {
        for (int i = 0; i < 100; ++i) packer.add(random_bytes(3000, 2));
      }(),
      util::Error);
  Bytes back(range.length);
  CHECK(packer.read(back, range.offset));
  CHECK(holds(back, first));
  file.fail_write = false;
  file.fail_allocate = false;
  for (int i = 0; i < 100; ++i) packer.add(random_bytes(3000, 2));
  packer.write_out();
  CHECK(holds(file.read(range.offset, range.length), first));
}
