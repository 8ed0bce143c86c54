// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/directory.hpp"

using namespace qcow2;

namespace {

class FileSystem : public FileObserver {
 public:
  explicit FileSystem(bool fallocate) : fallocate_(fallocate) {}
  bool has_fallocate() const override { return fallocate_; }
  uint64_t begin(FileChange) override { return 0; }
  void done(uint64_t) override {}

 private:
  const bool fallocate_;
};

struct OneFile {
  explicit OneFile(bool fallocate = true) : file_system(fallocate) {}
  testing::Directory directory;
  FileSystem file_system;
  const std::string path = directory.file("a");
  ImageFile file{util::open_file(path, O_RDWR | O_CREAT), path, &file_system};

  std::vector<std::byte> read(uint64_t offset, uint64_t length) const {
    std::vector<std::byte> bytes(length, std::byte{0xaa});
    file.read(bytes, offset);
    return bytes;
  }
};

}  // namespace

TEST_CASE("space is reserved around what is there, which is kept, with and without fallocate") {
  for (bool fallocate : {true, false}) {
    OneFile one(fallocate);
    auto content = testing::random_bytes(100, 1);
    one.file.write(content, 1000);
    one.file.reserve(0, 300000);
    CHECK(one.file.size() == 300000);
    auto bytes = one.read(0, 300000);
    CHECK(std::equal(content.begin(), content.end(), bytes.begin() + 1000));
    CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == 300000 - 100);
  }
}

TEST_CASE("an error of a reservation is told") {
  OneFile one;
  one.file.write(testing::random_bytes(4096, 1), 0);
  ImageFile read_only(util::open_file(one.path, O_RDONLY), one.path);
  CHECK_THROWS_AS(read_only.reserve(0, 4096), util::Error);
  CHECK_NOTHROW(read_only.reserve_if_possible(0, 4096));
}

TEST_CASE("the next data of a file begins behind its hole and ends before the next one") {
  OneFile one;
  one.file.set_length(1 << 20);
  constexpr uint64_t at = 256 << 10, length = 64 << 10;
  one.file.write(testing::random_bytes(length, 1), at);
  one.file.write(testing::random_bytes(length, 2), 3 * at);
  CHECK(one.file.next_data(0, 1 << 20) == extents::Range{at, length});
  CHECK(one.file.next_data(at + 1000, 1 << 20) == extents::Range{at + 1000, length - 1000});
  CHECK(one.file.next_data(at, at + 1000).end() >= at + 1000);
  CHECK(one.file.next_data(at + length, 2 * at) == extents::Range{2 * at, 0});
  CHECK(one.file.next_data(3 * at + length, 1 << 20).empty());
}

TEST_CASE("the pieces of a fresh cluster are written one after the other") {
  OneFile one;
  auto head = testing::random_bytes(100, 1), data = testing::random_bytes(5000, 2),
       tail = testing::random_bytes(10, 3);
  one.file.write_fresh(head, data, tail, 512);
  auto all = head;
  all.insert(all.end(), data.begin(), data.end());
  all.insert(all.end(), tail.begin(), tail.end());
  CHECK(testing::equal(one.read(512, all.size()), all));
  one.file.punch(512, 100);
  CHECK(testing::equal(one.read(612, data.size()), data));
  CHECK(one.read(512, 100) == std::vector<std::byte>(100));
}
