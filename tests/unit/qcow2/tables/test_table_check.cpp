// SPDX-License-Identifier: BSD-3-Clause
//
// Images whose header or tables are damaged.
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;

namespace {

// A closed image with one cluster of data at the start of each MiB.
void make_image(const std::string &path, uint64_t cluster = 65536) {
  auto image = create(path, 4 << 20, cluster);
  for (uint64_t at = 0; at < 4 << 20; at += 1 << 20)
    image->write(random_bytes(cluster, at + 1), at);
  image->finalise();
}

void poke(const std::string &path, uint64_t at, uint64_t value) {
  std::vector<std::byte> bytes(8);
  store_be<uint64_t>(bytes.data(), value);
  util::write_at(util::open_file(path, O_WRONLY), bytes, at, path);
}

}  // namespace

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
  refused(l2_at + 8, compressed | host_offset(entry), "overlaps something else");
  refused(l2_at, compressed | 65536, "overlaps something else");
  refused(l2_at, compressed | 512, "not within the file");  // the header
  refused(l2_at, compressed | uint64_t{1} << 53, "not within the file");
  refused(h.refcount_table_offset, 0x7fff'ffff'ffff'0000, "refcount block");
  refused(h.refcount_table_offset, h.refcount_table_offset, "refcount block");
  CHECK_NOTHROW(reopen(path));
  CHECK(check(path) == 0);
}

TEST_CASE("a refcount block outside the file of a dirty image is absent, and is placed anew") {
  Directory directory;
  std::string path = directory.file("a");
  make_image(path);
  const auto before = read_all(*reopen(path));
  Header h = read_header(ImageFile(util::open_file(path, O_RDONLY), path));
  const uint64_t outside = std::filesystem::file_size(path) + h.cluster_size();
  for (uint64_t at : {h.refcount_table_offset, h.refcount_table_offset + 8}) {
    poke(path, at, outside);
    CHECK_THROWS_WITH(reopen(path), Contains("refcount block"));
    poke(path, Header::features_at, h.incompatible | dirty_bit);
    CHECK((read_all(*reopen(path)) == before));
    CHECK(check(path) == 0);
  }
}

TEST_CASE("a file that is long and empty takes no memory: it is refused") {
  Directory directory;
  std::string path = directory.file("a");
  create(path, 1 << 20, 512)->finalise();
  std::filesystem::resize_file(path, 1ull << 40);
  CHECK_THROWS_WITH(reopen(path), Contains("too long for clusters of 512 bytes"));
}

TEST_CASE("whatever one byte of the tables is changed to, the image opens or is refused",
          "[single]") {
  Directory directory;
  std::string path = directory.file("a"), changed = directory.file("changed");
  make_image(path, 4096);
  auto bytes = load_file(path);
  std::mt19937_64 random(1);
  unsigned refused = 0;
  for (int i = 0; i < 600; ++i) {
    auto copy = bytes;
    // The header, or the start of one of the tables.
    size_t at = i % 2 == 0 ? random() % 120 : random() % 5 * 4096 + random() % 16;
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
