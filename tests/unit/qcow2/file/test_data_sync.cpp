// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/qcow2/file/data_sync.hpp"
#include "tests/unit/directory.hpp"

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
