// SPDX-License-Identifier: BSD-3-Clause
//
// What a flush has promised, with another thread held in the middle of a step.
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "tests/unit/qcow2/support.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace qcow2;
using namespace qcow2::test;
using durability::SyncPoint;

namespace {

constexpr uint64_t cluster = 64u << 10;
constexpr uint64_t clusters_of_table = cluster / 8;

// A disk of four tables, with one table that is flushed, and what a power failure would leave of it now.
struct FlushedDisk {
  explicit FlushedDisk(FileObserver *observer = nullptr) {
    Settings settings;
    settings.observer = observer;
    image = create(path, 4 * clusters_of_table * cluster, cluster, "", "", settings);
    write(0, 9);
    image->flush();
  }
  void write(uint64_t n, int value) {
    image->write(std::vector<std::byte>(cluster, std::byte(value)), n * cluster);
  }
  // The first byte of the guest cluster in a copy of the file, opened as after a crash.
  int in_the_file(uint64_t n) {
    std::string copy = directory.file("crash.qcow2");
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    auto after = reopen(copy);
    return std::to_integer<int>(read_part(*after, n * cluster, 1)[0]);
  }

  Directory directory;
  const std::string path = directory.file("a.qcow2");
  std::unique_ptr<Image> image;
};

// A file system without fallocate.
class NoFallocate : public FileObserver {
 public:
  std::atomic<bool> full = false;  // of the data of ones
  bool has_fallocate() const override { return false; }
  uint64_t begin(FileChange change) override {
    if (full && change.kind == FileChange::Kind::write && change.bytes[0] == std::byte{1}) {
      util::fail_os(ENOSPC, "full on purpose");
    }
    return 0;
  }
  void done(uint64_t) override {}
};

// Holds a thread that writes data of ones.
class HoldsData : public FileObserver {
 public:
  uint64_t begin(FileChange change) override {
    bool of_data = change.kind == FileChange::Kind::write && !change.bytes.empty() &&
                   change.bytes[0] == std::byte{1};
    if (of_data) SyncPoint::reach("test.data_of_cluster");
    return 0;
  }
  void done(uint64_t) override {}
};

}  // namespace

TEST_CASE("a change of a slice that another thread is listing is flushed") {
  FlushedDisk disk;
  SyncPoint::Hold hold("qcow2.slice_changed");
  std::jthread one([&] { disk.write(1, 1); });
  hold.wait();
  int found = -1;
  testing::WaitingThread two([&] {
    disk.write(2, 2);
    disk.image->flush();
    found = disk.in_the_file(2);
  });
  two.waits();  // or is over
  hold.release();
  two.join();
  CHECK(found == 2);
}

TEST_CASE("a change in a table that another thread is adding is flushed") {
  FlushedDisk disk;
  SyncPoint::Hold hold("qcow2.table_published");
  std::jthread one([&] { disk.write(clusters_of_table, 1); });
  hold.wait();
  int found = -1;
  testing::WaitingThread two([&] {
    disk.write(clusters_of_table + 1, 2);
    disk.image->flush();
    found = disk.in_the_file(clusters_of_table + 1);
  });
  two.waits();  // or is over
  hold.release();
  two.join();
  CHECK(found == 2);
}

// Cluster 600 is in the second slice of the table, which has no space yet.
TEST_CASE("without fallocate a slice gets its zeroes once, before its first change") {
  NoFallocate file_system;
  FlushedDisk disk(&file_system);
  file_system.full = GENERATE(false, true);
  SyncPoint::Hold hold("qcow2.zeroes_for_space");
  std::jthread one([&] {
    if (!file_system.full) return disk.write(600, 1);
    CHECK_THROWS_AS(disk.write(600, 1), util::Error);
  });
  hold.wait();
  testing::WaitingThread two([&] {
    disk.write(601, 2);
    disk.image->flush();
  });
  two.waits();  // or is over
  hold.release();
  one.join();
  two.join();
  CHECK(disk.in_the_file(601) == 2);
  disk.image->flush();
  disk.image->finalise();
  CHECK(disk.in_the_file(601) == 2);
  CHECK(disk.in_the_file(0) == 9);
  CHECK(check(disk.path + " -U") == 0);
}

TEST_CASE("an older flush that ends late does not take back that the image is flushed") {
  FlushedDisk disk;
  disk.write(1, 1);
  SyncPoint::Hold hold("qcow2.flush_done");
  std::jthread one([&] { disk.image->flush(); });
  hold.wait();
  disk.write(2, 2);
  CHECK_FALSE(disk.image->is_flushed());
  disk.image->flush();
  CHECK(disk.image->is_flushed());
  hold.release();
  one.join();
  CHECK(disk.image->is_flushed());
}

TEST_CASE("a flush during a write does not count as one after it") {
  FlushedDisk disk;
  SyncPoint::Hold hold("qcow2.write_begun");
  std::jthread one([&] { disk.write(1, 1); });
  hold.wait();
  disk.image->flush();
  hold.release();
  one.join();
  CHECK_FALSE(disk.image->is_flushed());
  disk.image->flush();
  CHECK(disk.image->is_flushed());
}

TEST_CASE("a write during a flush does not count as flushed") {
  FlushedDisk disk;
  disk.write(1, 1);
  SyncPoint::Hold hold("qcow2.flush_done");
  std::jthread one([&] { disk.image->flush(); });
  hold.wait();
  disk.write(2, 2);
  hold.release();
  one.join();
  CHECK_FALSE(disk.image->is_flushed());
}

// The L1 entry of a table is flushed by another thread while the table has no more than its first sector.
TEST_CASE("a table that is flushed before it has all of its space does not lie beyond the file") {
  class HoldsSpace : public FileObserver {
   public:
    std::atomic<bool> armed = false;
    bool has_fallocate() const override { return false; }
    uint64_t begin(FileChange change) override {
      bool of_slice = change.kind == FileChange::Kind::reserve && change.length > 512;
      if (of_slice && armed.exchange(false)) SyncPoint::reach("test.space_of_slice");
      return 0;
    }
    void done(uint64_t) override {}
  } file_system;
  FlushedDisk disk(&file_system);
  SyncPoint::Hold hold("test.space_of_slice");
  file_system.armed = true;
  // The second slice of a new table, so that its end is not that of what is reserved.
  std::jthread one([&] { disk.write(clusters_of_table + 600, 1); });
  hold.wait();
  disk.image->flush();
  CHECK(disk.in_the_file(0) == 9);  // it opens
  hold.release();
}

TEST_CASE(
    "two threads that write different parts of a new cluster: the second waits for the first") {
  HoldsData file_system;
  FlushedDisk disk(&file_system);
  SyncPoint::Hold hold("test.data_of_cluster");
  auto write = [&](uint64_t at, int value) {
    disk.image->write(std::vector<std::byte>(100, std::byte(value)), 5 * cluster + at);
  };
  std::jthread one([&] { write(0, 1); });
  hold.wait();
  testing::WaitingThread two([&] { write(1000, 2); });
  two.waits();  // or is over
  hold.release();
  one.join();
  two.join();
  auto part = read_part(*disk.image, 5 * cluster, 1100);
  CHECK(std::count(part.begin(), part.end(), std::byte{1}) == 100);
  CHECK(std::count(part.begin(), part.end(), std::byte{2}) == 100);
}

TEST_CASE("zeroes wait for a write to the same cluster that is under way") {
  HoldsData file_system;
  FlushedDisk disk(&file_system);
  SyncPoint::Hold hold("test.data_of_cluster");
  std::jthread one([&] { disk.write(5, 1); });
  hold.wait();
  testing::WaitingThread two([&] { disk.image->zero(5 * cluster, cluster); });
  CHECK(two.waits());
  hold.release();
  one.join();
  two.join();
  CHECK(read_part(*disk.image, 5 * cluster, cluster) == std::vector<std::byte>(cluster));
}
