// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/file/data_sync.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace qcow2;

namespace {

// Notes the changes of a file, and fails syncs if it is told to.
class Observer : public FileObserver {
 public:
  std::vector<FileChange::Kind> changes;
  bool fail = false;

  uint64_t begin(FileChange change) override {
    if (fail && change.kind == FileChange::Kind::sync) util::fail(EIO, "broken");
    changes.push_back(change.kind);
    return 0;
  }
  void done(uint64_t) override {}
};

class Pending : public PendingData {
 public:
  explicit Pending(const ImageFile &file) : file_(file) {}
  bool fail = false;

  void write_out() override {
    if (fail) util::fail(ENOSPC, "full");
    file_.write(std::vector<std::byte>(10), 0);
  }

 private:
  const ImageFile &file_;
};

}  // namespace

TEST_CASE("pending data is written before the file is synced") {
  testing::Directory directory;
  std::string path = directory.file("a");
  Observer observer;
  ImageFile file(util::open_file(path, O_RDWR | O_CREAT), path, &observer);
  Pending pending(file);
  DataSync sync(file, &pending);
  sync.run();
  using Kind = FileChange::Kind;
  CHECK(observer.changes == std::vector{Kind::write, Kind::sync});
  // Data that cannot be written is no failed sync: the next call tries again.
  pending.fail = true;
  CHECK_THROWS_WITH(sync.run(), "full");
  CHECK(observer.changes.size() == 2);
  pending.fail = false;
  CHECK_NOTHROW(sync.run());
  DataSync(file, nullptr).run();
  CHECK(observer.changes.back() == Kind::sync);
}

TEST_CASE("after a sync has failed every later one fails") {
  testing::Directory directory;
  std::string path = directory.file("a");
  Observer observer;
  ImageFile file(util::open_file(path, O_RDWR | O_CREAT), path, &observer);
  DataSync sync(file, nullptr);
  observer.fail = true;
  CHECK_THROWS_WITH(sync.run(), "broken");
  observer.fail = false;
  CHECK_THROWS_WITH(sync.run(), Catch::Contains("an earlier sync has failed"));
}

// The kernel has told the first thread of a lost write, and tells no other: whatever that was may be the other's.
TEST_CASE("a sync at the same time as one that fails does not succeed") {
  testing::Directory directory;
  std::string path = directory.file("a");
  class FailsOnce : public Observer {
   public:
    std::atomic<bool> failed = false;
    uint64_t begin(FileChange) override {
      if (!failed.exchange(true)) util::fail(EIO, "broken");
      return 0;
    }
  } observer;
  ImageFile file(util::open_file(path, O_RDWR | O_CREAT), path, &observer);
  DataSync sync(file, nullptr);
  durability::SyncPoint::Hold hold("qcow2.sync_failed");
  std::jthread one([&] { CHECK_THROWS_AS(sync.run(), util::Error); });
  hold.wait();
  std::atomic<bool> succeeded = false;
  testing::WaitingThread two([&] {
    try {
      sync.run();
      succeeded = true;
    } catch (const util::Error &) {
    }
  });
  two.waits();  // or has not succeeded already
  hold.release();
  one.join();
  two.join();
  CHECK_FALSE(succeeded);
}
