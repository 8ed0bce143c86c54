// SPDX-License-Identifier: BSD-3-Clause
//
// Backing chains, locks, what is asked for against what is there, and images that are damaged.
#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/tables/group_commit.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;

namespace {

std::string backing_of(const std::string &path) {
  return read_header(ImageFile(util::open_file(path, O_RDONLY), path)).backing_file;
}

// A closed image with one cluster of data at the start of each MiB.
void make_image(const std::string &path) {
  auto image = create(path, 4 << 20, 65536);
  for (uint64_t at = 0; at < 4 << 20; at += 1 << 20) image->write(random_bytes(65536, at + 1), at);
  image->finalise();
}

void poke(const std::string &path, uint64_t at, uint64_t value) {
  std::vector<std::byte> bytes(8);
  store_be<uint64_t>(bytes.data(), value);
  util::write_at(util::open_file(path, O_WRONLY), bytes, at, path);
}

}  // namespace

TEST_CASE("a chain of qcow2 and raw files is read through, with its extents") {
  Directory directory;
  auto bytes = random_bytes(3 << 20, 1);
  write_file(directory.file("0"), bytes);
  std::filesystem::resize_file(directory.file("0"), 5 << 20);
  bytes.resize(5 << 20);
  std::string below = "0";
  for (int i = 1; i <= 10; ++i) {
    std::string name = std::to_string(i);
    auto image = create(directory.file(name), 5 << 20, 512u << i % 8, directory.file(below),
                        i == 1 ? "raw" : "qcow2");
    auto data = random_bytes(10000, 100 + i);
    std::copy(data.begin(), data.end(), bytes.begin() + i * 100000);
    image->write(data, i * 100000);
    image->finalise();
    CHECK((read_all(*image) == bytes));
    below = name;
  }
  auto image = reopen(directory.file("10"));
  CHECK((read_all(*image) == bytes));
  auto list = extents_of(*image, {0, 5 << 20});
  CHECK(list.back() == extents::Extent{3 << 20, 2 << 20, extents::hole | extents::zero});
  CHECK(list.front().type == extents::data);
}

TEST_CASE("a backing file beside the image is named by its name alone") {
  Directory directory;
  std::filesystem::create_directory(directory.file("sub"));
  write_file(directory.file("base"), random_bytes(1024, 1));
  create(directory.file("a"), 1024, 512, directory.file("base"), "raw");
  create(directory.file("sub/b"), 1024, 512, directory.file("base"), "raw");
  CHECK(backing_of(directory.file("a")) == "base");
  CHECK(backing_of(directory.file("sub/b")) == directory.file("base"));
  CHECK(resolve_backing("/d/a", "base") == "/d/base");
  CHECK(resolve_backing("/d/a", "/e/base") == "/e/base");
}

TEST_CASE("below a backing file that is given, only names beside it are followed unasked") {
  Directory directory;
  std::filesystem::create_directory(directory.file("sub"));
  write_file(directory.file("base"), random_bytes(1024, 1));
  write_file(directory.file("sub/base"), random_bytes(1024, 1));
  create(directory.file("sub/far"), 1024, 512, directory.file("base"), "raw");
  create(directory.file("sub/near"), 1024, 512, directory.file("sub/base"), "raw");
  CHECK_NOTHROW(create(directory.file("a"), 1024, 512, directory.file("sub/near"), "qcow2"));
  CHECK_THROWS_WITH(create(directory.file("b"), 1024, 512, directory.file("sub/far"), "qcow2"),
                    Contains("backing=auto allows"));
  Options options;
  options.follow_backing = true;
  CHECK_NOTHROW(
      create(directory.file("b"), 1024, 512, directory.file("sub/far"), "qcow2", options));
}

TEST_CASE("a loop in the chain is refused, and so is a format that is not given") {
  Directory directory;
  std::string a = directory.file("a"), b = directory.file("b");
  create(a, 1 << 20, 65536);
  create(b, 1 << 20, 65536, a, "qcow2");
  REQUIRE(std::system(("qemu-img rebase -u -F qcow2 -b b " + a).c_str()) == 0);
  CHECK_THROWS_WITH(reopen(a), Contains("its own backing chain"));
  CHECK_THROWS_WITH(reopen(b), Contains("its own backing chain"));
  REQUIRE(std::system(("qemu-img rebase -u -F raw -b b " + a).c_str()) == 0);
  CHECK((read_all(*reopen(a)).size() == 1 << 20));  // raw: not looked into
  Header h;
  h.size = 1 << 20;
  h.backing_file = "b";
  lay_out(h);
  create_file(directory.file("c"), h, false);
  CHECK_THROWS_WITH(reopen(directory.file("c")), Contains("does not say the format"));
}

TEST_CASE("an image in use is refused, a backing file may have several readers") {
  Directory directory;
  std::string path = directory.file("a"), top = directory.file("top");
  auto image = create(path, 1 << 20, 65536);
  CHECK_THROWS_WITH(reopen(path), Contains("in use by another process"));
  CHECK_THROWS_WITH(create(top, 1 << 20, 65536, path, "qcow2"),
                    Contains("being written by another"));
  image.reset();
  auto one = create(top, 1 << 20, 65536, path, "qcow2");
  auto two = create(directory.file("top2"), 1 << 20, 65536, path, "qcow2");
  CHECK_THROWS_WITH(reopen(path), Contains("in use by another process"));
  one.reset();
  two.reset();
  CHECK_NOTHROW(reopen(path));
}

TEST_CASE("what is asked for must not contradict the image that exists") {
  Directory directory;
  std::string path = directory.file("a");
  write_file(directory.file("base"), random_bytes(1024, 1));
  write_file(directory.file("other"), random_bytes(1024, 1));
  create(path, 1 << 20, 65536, directory.file("base"), "raw");
  auto asks = [&](auto change) {
    Options options;
    options.path = path;
    options.follow_backing = true;
    change(options);
    open_image(options, util::Log());
  };
  CHECK_NOTHROW(asks([](Options &o) { o.size = 1 << 20; }));
  CHECK_THROWS_WITH(asks([](Options &o) { o.size = 2 << 20; }), Contains("size=2097152"));
  CHECK_THROWS_WITH(asks([](Options &o) { o.cluster_size = 512; }), Contains("cluster-size=512"));
  CHECK_THROWS_WITH(asks([](Options &o) { o.follow_backing = false; }),
                    Contains("not followed unasked"));
  auto backing = [&](const char *name, const char *format) {
    asks([&](Options &o) {
      o.backing = directory.file(name);
      o.backing_format = format;
      o.follow_backing = false;
    });
  };
  CHECK_NOTHROW(backing("base", "raw"));
  CHECK_THROWS_WITH(backing("other", "raw"), Contains("its backing file is base"));
  CHECK_THROWS_WITH(backing("base", "qcow2"), Contains("says raw"));
  CHECK_THROWS_WITH(asks([&](Options &o) { o.path = directory.file("new"); }),
                    Contains("size= is required"));
  CHECK_THROWS_WITH(reopen(directory.file("new")), Contains("create=never"));
  CHECK_FALSE(std::filesystem::exists(directory.file("new")));
  CHECK_THROWS_WITH(asks([&](Options &o) { o.path = directory.file("base"); }),
                    Contains("not a QCOW2 image"));
}

TEST_CASE("tables that point to what they must not are refused") {
  Directory directory;
  std::string path = directory.file("a");
  make_image(path);
  Header h = read_header(ImageFile(util::open_file(path, O_RDONLY), path));
  auto first_word = [&](uint64_t at) {
    std::vector<std::byte> bytes(8);
    util::read_at(util::open_file(path, O_RDONLY), bytes, at, path);
    return load_be<uint64_t>(bytes.data());
  };
  uint64_t l1 = first_word(h.l1_offset);
  uint64_t l2_at = host_offset(l1);
  uint64_t entry = first_word(l2_at);

  auto refused = [&](uint64_t at, uint64_t value, const char *text) {
    uint64_t before = first_word(at);
    poke(path, at, value);
    CHECK_THROWS_WITH(reopen(path), Contains(text));
    poke(path, at, before);
  };
  refused(h.l1_offset, copied | 0x00ff'ffff'ffff'0000, "not within the file");
  refused(h.l1_offset, l1 | 1, "reserved bits");
  refused(h.l1_offset, copied | h.l1_offset, "referenced twice");
  refused(l2_at, copied | 0x00ff'ffff'ffff'0000, "not within the file");
  refused(l2_at, entry + 512, "not within the file");
  refused(l2_at, copied | 65536, "referenced twice");  // the refcount table
  refused(l2_at + 8, entry, "referenced twice");
  refused(l2_at, entry | 2, "reserved bits");
  refused(l2_at + 8, compressed | host_offset(entry), "lies over something else");
  refused(l2_at, compressed | 65536, "lies over something else");
  refused(l2_at, compressed | 512, "not within the file");  // the header
  refused(l2_at, compressed | uint64_t{1} << 53, "not within the file");
  refused(h.refcount_table_offset, 0x7fff'ffff'ffff'0000, "refcount block");
  refused(h.refcount_table_offset, h.refcount_table_offset, "refcount block");
  CHECK_NOTHROW(reopen(path));
  CHECK(check(path) == 0);
}

TEST_CASE("a file that is long and empty takes no memory: it is refused") {
  Directory directory;
  std::string path = directory.file("a");
  create(path, 1 << 20, 512)->finalise();
  std::filesystem::resize_file(path, 1ull << 40);
  CHECK_THROWS_WITH(reopen(path), Contains("too long for clusters of 512 bytes"));
}

TEST_CASE("a backing file that is a pipe or a device is refused, and nothing waits for it") {
  Directory directory;
  std::string pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string &name : {pipe, std::string("/dev/zero"), directory.file("")}) {
    CHECK_THROWS_WITH(create(directory.file("a"), 1 << 20, 512, name, "raw"),
                      Contains("neither a file nor a block device"));
  }
}

TEST_CASE("a chain that is too long is refused") {
  Directory directory;
  write_file(directory.file("0"), random_bytes(512, 1));
  for (int i = 1; i <= 70; ++i) {
    auto next = [&] {
      create(directory.file(std::to_string(i)), 512, 512, directory.file(std::to_string(i - 1)),
             i == 1 ? "raw" : "qcow2");
    };
    if (i <= 64) {
      CHECK_NOTHROW(next());
      if (i == 64) CHECK_NOTHROW(reopen(directory.file("64")));
    } else {
      CHECK_THROWS_WITH(next(), Contains("more than 64 files"));
      break;
    }
  }
}

TEST_CASE("whatever one byte of the tables is changed to, the image opens or is refused") {
  Directory directory;
  std::string path = directory.file("a"), changed = directory.file("changed");
  make_image(path);
  auto bytes = load_file(path);
  std::mt19937_64 random(1);
  unsigned refused = 0;
  for (int i = 0; i < 600; ++i) {
    auto copy = bytes;
    // The header, or the start of one of the tables.
    size_t at = i % 2 == 0 ? random() % 120 : random() % 5 * 65536 + random() % 16;
    copy[at] = std::byte(random());
    write_file(changed, copy);
    try {
      auto image = reopen(changed);
      if (image->size() <= 4 << 20) {
        read_all(*image);
        image->write(random_bytes(1000, 1), 0);
        image->finalise();
      }
    } catch (const util::Error &) {
      ++refused;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("a round that began later serves all who waited, and its failure reaches them") {
  std::atomic<int> rounds = 0;
  bool fail = false;
  GroupCommit commit([&] {
    ++rounds;
    if (fail) throw util::Error(EIO, "lost");
  });
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < 8; ++t) {
      pool.emplace_back([&] {
        for (int i = 0; i < 100; ++i) commit.run();
      });
    }
  }
  CHECK(rounds <= 800);
  CHECK(rounds >= 100);
  fail = true;
  CHECK_THROWS_WITH(commit.run(), "lost");
  fail = false;
  CHECK_NOTHROW(commit.run());
}
