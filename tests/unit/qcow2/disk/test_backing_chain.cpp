// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;

namespace {

std::string backing_of(const std::string &path) {
  return read_header(ImageFile(util::open_file(path, O_RDONLY), path)).backing_file;
}

}  // namespace

TEST_CASE("a chain of qcow2 and raw files is read through, with its extents", "[single]") {
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
  Settings settings;
  settings.follow_backing = true;
  CHECK_NOTHROW(
      create(directory.file("b"), 1024, 512, directory.file("sub/far"), "qcow2", settings));
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

TEST_CASE("a backing file that is a pipe or a device is refused, and nothing waits for it") {
  Directory directory;
  std::string pipe = directory.file("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string &name : {pipe, std::string("/dev/zero"), directory.file("")}) {
    CHECK_THROWS_WITH(create(directory.file("a"), 1 << 20, 512, name, "raw"),
                      Contains("neither a file nor a block device"));
  }
}

TEST_CASE("a chain that is too long is refused", "[single]") {
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

TEST_CASE(
    "beyond the end of a shorter backing file there are zeroes, also in a file that is read "
    "later") {
  Directory directory;
  auto bytes = random_bytes(1000000, 1);
  write_file(directory.file("raw"), bytes);
  bytes.resize(1 << 20);
  create(directory.file("qcow2"), 1 << 20, 4096, directory.file("raw"), "raw");
  for (const char *format : {"raw", "qcow2"}) {
    auto image = create(directory.file(std::string("over-") + format), 2 << 20, 65536,
                        directory.file(format), format);
    auto model = bytes;
    model.resize(2 << 20);
    CHECK((read_all(*image) == model));
    CHECK(extents_of(*image, {0, 2 << 20}).back().end() == 2 << 20);
    // A part of it, over the end and beyond it.
    for (uint64_t at : {999000u, 1048000u, 1500000u}) {
      auto part = read_part(*image, at, 3000);
      CHECK(std::equal(part.begin(), part.end(), model.begin() + static_cast<std::ptrdiff_t>(at)));
    }
    // What is copied from there into a cluster that is written in part.
    image->write(random_bytes(10, 2), 1048576 + 100);
    auto part = read_part(*image, 1048576, 65536);
    CHECK(std::count(part.begin(), part.end(), std::byte{0}) == 65526);
  }
}
