// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "common/util/error.hpp"
#include "filters/delta/digests/scan.hpp"
#include "tests/unit/delta/memory_disk.hpp"
#include "tests/unit/directory.hpp"

using namespace delta;
using namespace digests;
using extents::Extent;
using extents::Range;

namespace {

constexpr uint64_t K = 1024, M = K * K;
constexpr auto no_limit = Scan::Clock::time_point::max();

// Digests of a disk, made by a scan of its own.
class Scanned {
 public:
  Scanned(uint64_t size, const DigestFile *base = nullptr, bool tracked = false,
          unsigned threads = 0)
      : file(DigestFile::create(directory_.path() + "/digests",
                                {size, "c", base != nullptr ? base->header().key : Key{}, false})),
        scan(size, base, tracked, file, threads) {}

  void all(SourceDisk &disk) { CHECK(computes_all(disk)); }
  // For threads: without an assertion of Catch2, of which only one thread may make any.
  bool computes_all(SourceDisk &disk) {
    const uint64_t size = file.header().size;
    uint64_t at = 0;
    while (at < size) {
      const uint64_t known = scan.compute(disk, {at, size - at}, no_limit);
      if (known <= at) return false;
      at = known;
    }
    return true;
  }
  std::vector<Extent> extents(Range range) {
    std::vector<Extent> list;
    scan.for_each(range, [&](const Extent &e) { list.push_back(e); });
    return list;
  }
  std::vector<Extent> extents() { return extents({0, file.header().size}); }

 private:
  testing::Directory directory_;

 public:
  DigestFile file;
  Scan scan;
};

}  // namespace

TEST_CASE("without digests of an earlier run everything has changed, and zeroes are seen") {
  MemoryDisk disk(3 * M + 100);
  std::fill_n(disk.bytes.begin() + 64 * K, 128 * K, std::byte{0});
  Scanned now(3 * M + 100);
  now.all(disk);
  CHECK(now.extents() == std::vector<Extent>{{0, 64 * K, extents::data},
                                             {64 * K, 128 * K, extents::zero},
                                             {192 * K, 3 * M + 100 - 192 * K, extents::data}});
  CHECK(now.extents({64 * K + 1, 10}) == std::vector<Extent>{{64 * K + 1, 10, extents::zero}});
  CHECK(now.file.header().complete);
}

TEST_CASE("a block has changed if one byte of it has, also in the last, short block") {
  MemoryDisk disk(2 * M + 777);
  Scanned before(2 * M + 777);
  before.all(disk);
  disk.bytes[M - 1] = std::byte{2};
  disk.bytes.back() = std::byte{2};
  Scanned now(2 * M + 777, &before.file);
  now.all(disk);
  CHECK(now.extents() == std::vector<Extent>{{0, M - 64 * K, extents::hole},
                                             {M - 64 * K, 64 * K, extents::data},
                                             {M, M, extents::hole},
                                             {2 * M, 777, extents::data}});
}

TEST_CASE("what has been added to a disk has changed, the block that its end was in too") {
  for (uint64_t old_size : {M, M + 777, M + 64 * K, 3 * M - 1}) {
    INFO(old_size);
    MemoryDisk small(old_size);
    Scanned before(old_size);
    before.all(small);
    MemoryDisk large(4 * M);
    Scanned now(4 * M, &before.file);
    now.all(large);
    const uint64_t whole = old_size / (64 * K) * (64 * K);
    CHECK(now.extents() ==
          std::vector<Extent>{{0, whole, extents::hole}, {whole, 4 * M - whole, extents::data}});
  }
}

TEST_CASE("what the layer below says is zero is not read, and compared all the same") {
  MemoryDisk disk(4 * M, std::byte{0});
  disk.map.set({0, 4 * M}, extents::hole | extents::zero);
  disk.map.set({M + 5, 10}, extents::data);
  Scanned before(4 * M);
  before.all(disk);
  CHECK(disk.read_bytes() == 64 * K);
  disk.bytes[M + 5] = std::byte{1};
  Scanned now(4 * M, &before.file);
  now.all(disk);
  CHECK(now.extents() == std::vector<Extent>{{0, M, extents::hole},
                                             {M, 64 * K, extents::data},
                                             {M + 64 * K, 3 * M - 64 * K, extents::hole}});
}

TEST_CASE("where the layer below tells what has not changed, the earlier digest is taken") {
  MemoryDisk disk(4 * M);
  Scanned before(4 * M);
  before.all(disk);
  const uint64_t read_before = disk.read_bytes();
  disk.map.set({0, 4 * M}, extents::hole);
  disk.map.set({M, 128 * K}, extents::data);
  disk.bytes[M] = std::byte{2};
  Scanned now(4 * M, &before.file, true);
  now.all(disk);
  CHECK(disk.read_bytes() - read_before == 128 * K);
  CHECK(now.extents() == std::vector<Extent>{{0, M, extents::hole},
                                             {M, 64 * K, extents::data},
                                             {M + 64 * K, 3 * M - 64 * K, extents::hole}});
  // The digests are those of the whole disk: a scan that trusts nobody finds no change.
  disk.map.set({0, 4 * M}, extents::data);
  Scanned again(4 * M, &now.file);
  again.all(disk);
  CHECK(again.extents() == std::vector<Extent>{{0, 4 * M, extents::hole}});

  // Without earlier digests they are computed, and what has not changed is not shown for that.
  disk.map.set({0, 4 * M}, extents::hole);
  Scanned first(4 * M, nullptr, true);
  first.all(disk);
  CHECK(first.extents() == std::vector<Extent>{{0, 4 * M, extents::hole}});
}

TEST_CASE("a layer below that tells one extent at a time") {
  MemoryDisk disk(4 * M);
  disk.told = 1;
  for (uint64_t at = 0; at < 4 * M; at += 96 * K) disk.map.set({at, 5}, extents::zero);
  Scanned now(4 * M);
  now.all(disk);
  CHECK(now.extents() == std::vector<Extent>{{0, 4 * M, extents::data}});
}

TEST_CASE("the time limit ends a call after the first chunk") {
  MemoryDisk disk(8 * M);
  Scanned now(8 * M, nullptr, false, 4);
  const uint64_t known = now.scan.compute(disk, {M + 5, 7 * M - 5}, Scan::Clock::time_point::min());
  CHECK(known == 2 * M);
  CHECK(!now.file.header().complete);
}

TEST_CASE("what cannot be read is an error, and is tried again") {
  MemoryDisk disk(4 * M);
  std::atomic<bool> broken = true;
  disk.before_read = [&](uint64_t offset) {
    if (broken && offset == 2 * M) util::fail(EIO, "broken");
  };
  Scanned now(4 * M, nullptr, false, 3);
  const uint64_t known = now.scan.compute(disk, {0, 4 * M}, no_limit);
  CHECK(known <= 2 * M);
  CHECK_THROWS_WITH(now.scan.compute(disk, {2 * M, 2 * M}, no_limit), "broken");
  CHECK(!now.file.header().complete);
  broken = false;
  now.all(disk);
  CHECK(now.file.header().complete);
}

TEST_CASE("a chunk that one thread computes is waited for by another") {
  MemoryDisk disk(M);
  std::atomic<bool> reading = false, go_on = false;
  disk.before_read = [&](uint64_t) {
    reading = true;
    reading.notify_all();
    go_on.wait(false);
  };
  Scanned now(M);
  std::jthread first([&] { now.scan.compute(disk, {0, M}, no_limit); });
  reading.wait(false);
  std::atomic<uint64_t> seen = 0;
  std::jthread second([&] { seen = now.scan.compute(disk, {0, M}, no_limit); });
  go_on = true;
  go_on.notify_all();
  first.join();
  second.join();
  CHECK(seen == M);
  CHECK(disk.read_bytes() == M);
}

TEST_CASE("many threads find what one finds") {
  constexpr uint64_t size = 24 * M + 4096;
  MemoryDisk disk(size);
  for (size_t i = 0; i < disk.bytes.size(); i += 4096) disk.bytes[i] = std::byte(i / 4096 % 251);
  Scanned before(size);
  before.all(disk);
  for (uint64_t i = 0; i < size; i += 700 * K) disk.bytes[i] = std::byte{255};
  Scanned one(size, &before.file), many(size, &before.file, false, 4);
  one.all(disk);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { many.computes_all(disk); });
  }
  CHECK(many.extents() == one.extents());
  CHECK(many.file.header().complete);
}

TEST_CASE("an empty disk is complete at once") {
  Scanned now(0);
  CHECK(now.file.header().complete);
}
