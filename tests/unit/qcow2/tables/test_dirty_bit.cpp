// SPDX-License-Identifier: BSD-3-Clause
//
// What is durable before the first change of an image, and after the last one.
#include <catch2/catch.hpp>
#include <mutex>

#include "plugins/qcow2/format/big_endian.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Kind = FileChange::Kind;

class Changes : public FileObserver {
 public:
  std::vector<FileChange> list;
  uint64_t begin(FileChange change) override {
    list.push_back(std::move(change));
    return 0;
  }
  void done(uint64_t) override {}
};

bool is_of_features(const FileChange &c) {
  return c.kind == Kind::write && c.offset == Header::features_at;
}
uint64_t incompatible(const FileChange &c) {
  return load_be<uint64_t>(c.bytes.data());
}

}  // namespace

TEST_CASE(
    "the dirty bit is durable before anything else of the file changes, once for each closing") {
  Directory directory;
  Changes changes;
  Settings settings;
  settings.observer = &changes;
  auto image = create(directory.file("a"), 1 << 20, 4096, "", "", settings);
  for (uint64_t at : {5000u, 205000u}) {
    changes.list.clear();
    image->write(random_bytes(10000, 1), at);
    image->write(random_bytes(10000, 1), at + 100000);
    REQUIRE(changes.list.size() > 2);
    CHECK(is_of_features(changes.list[0]));
    CHECK((incompatible(changes.list[0]) & dirty_bit) != 0);
    CHECK(changes.list[1].kind == Kind::sync);
    CHECK(std::count_if(changes.list.begin(), changes.list.end(), is_of_features) == 1);
    image->finalise();
  }
}

TEST_CASE(
    "the dirty bit is cleared when all else is durable, and that is durable before space is given "
    "back") {
  Directory directory;
  Changes changes;
  Settings settings;
  settings.observer = &changes;
  settings.compression = Compression{CompressionType::zlib, 1};
  auto image = create(directory.file("a"), 1 << 20, 4096, "", "", settings);
  auto text = random_bytes(1 << 19, 1);
  testing::make_letters(text, 4);
  image->write(text, 0);
  image->zero(0, 1 << 18);
  image->flush();
  changes.list.clear();
  image->finalise();
  auto &list = changes.list;
  auto cleared = std::find_if(list.begin(), list.end(), is_of_features);
  REQUIRE(cleared != list.end());
  CHECK((incompatible(*cleared) & dirty_bit) == 0);
  REQUIRE(cleared - list.begin() > 2);
  CHECK(std::prev(cleared)->kind == Kind::sync);
  REQUIRE(list.end() - cleared > 2);
  CHECK(std::next(cleared)->kind == Kind::sync);
  auto is_punch = [](const FileChange &c) { return c.kind == Kind::punch; };
  CHECK(std::any_of(cleared + 2, list.end(), is_punch));
  CHECK(std::all_of(cleared + 2, list.end(), is_punch));
}

TEST_CASE("what an image vouches for beside its content is invalid from the first write on") {
  Directory directory;
  std::string path = directory.file("a");
  REQUIRE(std::system(("qemu-img create -q -f qcow2 " + path + " 1M && qemu-img bitmap --add " +
                       path + " one")
                          .c_str()) == 0);
  auto in_the_file = [&] { return load_be<uint64_t>(&load_file(path)[Header::features_at + 16]); };
  REQUIRE(in_the_file() == 1);  // the bitmaps are consistent
  auto image = reopen(path);
  CHECK(in_the_file() == 1);
  image->write(random_bytes(100, 1), 0);
  CHECK(in_the_file() == 0);
  image.reset();
}
