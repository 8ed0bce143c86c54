// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"
#include "filters/delta/check/checked_disk.hpp"
#include "tests/unit/delta/memory_disk.hpp"
#include "tests/unit/directory.hpp"

using namespace delta;
using extents::Extent;
using extents::Range;

namespace {

constexpr uint64_t block = digests::block_bytes, size = 6 * block + 100;
constexpr auto hole_zero = extents::hole | extents::zero;

// Six blocks of random bytes, but for the third and the fourth, which are zero, and a short last one, of zeroes.
struct Image {
  Image() {
    for (size_t i = 0; i < disk.bytes.size(); ++i)
      disk.bytes[i] = static_cast<std::byte>(i % 251 + 1);
    std::fill_n(disk.bytes.begin() + 2 * block, 2 * block, std::byte{0});
    std::fill(disk.bytes.begin() + 6 * block, disk.bytes.end(), std::byte{0});
  }

  // As they were when the image was written.
  void write_digests(bool complete = true) {
    auto file = digests::DigestFile::create(
        path, {size, "c1/long", digests::random_key(), false, "uuid-1"});
    const digests::Hasher hasher(file.header().key);
    for (uint64_t at = 0; at < size; at += block) {
      const auto bytes = std::span(disk.bytes).subspan(at, std::min(block, size - at));
      file.write(at / block, std::vector{hasher(bytes)});
    }
    if (complete) file.complete();
  }
  std::vector<std::byte> read(Range range) {
    std::vector<std::byte> buffer(range.length);
    CheckedDisk(path).read(disk, buffer, range.offset);
    return buffer;
  }
  std::vector<std::byte> content(Range range) const {
    const auto from = disk.bytes.begin() + static_cast<ptrdiff_t>(range.offset);
    return {from, from + static_cast<ptrdiff_t>(range.length)};
  }
  std::vector<Extent> shown(const Extent &extent) const {
    std::vector<Extent> list;
    CheckedDisk(path).show(extent, [&](const Extent &e) { list.push_back(e); });
    return list;
  }

  testing::Directory directory;
  std::string path = directory.file("digests");
  MemoryDisk disk{size};
};

std::string identity(const std::string &uuid, std::optional<bool> complete,
                     const std::string &checkpoint, bool cut = false) {
  return replication::format(
      {.uuid = uuid, .below = {}, .complete = complete, .checkpoint = checkpoint, .cut = cut});
}

}  // namespace

TEST_CASE("reads of any alignment return the bytes, and read whole blocks") {
  Image image;
  image.write_digests();
  for (Range range : {Range{0, size}, Range{0, block}, Range{1, 1}, Range{block - 1, 2},
                      Range{block + 5, 3 * block}, Range{block, 2 * block + 7},
                      Range{5 * block + 9, block + 91 - 9}, Range{size - 1, 1},
                      Range{6 * block, 100}, Range{6 * block, 99}, Range{5 * block, block + 100}}) {
    CAPTURE(range.offset, range.length);
    CHECK(image.read(range) == image.content(range));
  }
  const uint64_t before = image.disk.read_bytes();
  image.read({block - 1, 2});
  CHECK(image.disk.read_bytes() - before == 2 * block);
}

TEST_CASE(
    "a byte that is not what was written is found by each read of its block, and by no other") {
  const uint64_t at = GENERATE(uint64_t{0}, 2 * block + 5, 5 * block - 1, size - 1);
  Image image;
  image.write_digests();
  image.disk.bytes[at] ^= std::byte{1};
  const uint64_t start = at / block * block, end = std::min(start + block, size);
  const std::string text = "at offset " + std::to_string(start) + " is not what was written";
  CHECK_THROWS_WITH(image.read({0, size}), Catch::Contains(text));
  CHECK_THROWS_WITH(image.read({start, 1}), Catch::Contains(text));
  CHECK_THROWS_WITH(image.read({end - 1, 1}), Catch::Contains(text));
  try {
    image.read({start, 1});
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EIO);
  }
  if (start > 0) CHECK(image.read({0, start}) == image.content({0, start}));
  if (end < size) CHECK(image.read({end, size - end}) == image.content({end, size - end}));
}

TEST_CASE("zeroes are shown where the digests say zero too, and as data elsewhere") {
  Image image;
  image.write_digests();
  CHECK(image.shown({2 * block, 2 * block, hole_zero}) ==
        std::vector<Extent>{{2 * block, 2 * block, hole_zero}});
  CHECK(image.shown({2 * block, 2 * block, extents::zero}) ==
        std::vector<Extent>{{2 * block, 2 * block, extents::zero}});
  CHECK(image.shown({6 * block, 100, hole_zero}) ==
        std::vector<Extent>{{6 * block, 100, hole_zero}});
  CHECK(image.shown({block, 4 * block, hole_zero}) ==
        std::vector<Extent>{{block, block, extents::data},
                            {2 * block, 2 * block, hole_zero},
                            {4 * block, block, extents::data}});
  // A part of a block has no digest.
  CHECK(image.shown({2 * block + 512, 2 * block - 512, hole_zero}) ==
        std::vector<Extent>{{2 * block + 512, block - 512, extents::data},
                            {3 * block, block, hole_zero}});
  CHECK(
      image.shown({2 * block, 2 * block - 512, hole_zero}) ==
      std::vector<Extent>{{2 * block, block, hole_zero}, {3 * block, block - 512, extents::data}});
  CHECK(image.shown({2 * block + 512, 1024, hole_zero}) ==
        std::vector<Extent>{{2 * block + 512, 1024, extents::data}});
  // What is read is checked then.
  CHECK(image.shown({0, block, extents::data}) == std::vector<Extent>{{0, block, extents::data}});
  CHECK(image.shown({0, block, extents::hole}) == std::vector<Extent>{{0, block, extents::hole}});
}

TEST_CASE("digests that are not this disk's are refused") {
  Image image;
  image.write_digests();
  const CheckedDisk checked(image.path);
  CHECK_NOTHROW(checked.check_belongs(size, ""));
  CHECK_NOTHROW(checked.check_belongs(size, "free text"));
  CHECK_THROWS_WITH(checked.check_belongs(size + 1, ""), Catch::Contains("and this one has"));
  CHECK_NOTHROW(checked.check_belongs(size, identity("uuid-1", {}, "")));
  CHECK_NOTHROW(checked.check_belongs(size, identity("uuid-1", true, "c1/long")));
  CHECK_NOTHROW(checked.check_belongs(size, identity("uuid-1", true, "c1", /*cut=*/true)));
  CHECK_THROWS_WITH(checked.check_belongs(size, identity("uuid-1", true, "c1")),
                    Catch::Contains("complete as of \"c1\""));
  CHECK_THROWS_WITH(checked.check_belongs(size, identity("uuid-2", {}, "")),
                    Catch::Contains("image uuid-1, and this is uuid-2"));
  CHECK_THROWS_WITH(checked.check_belongs(size, identity("uuid-1", true, "c2")),
                    Catch::Contains("complete as of \"c2\""));
  CHECK_THROWS_WITH(checked.check_belongs(size, identity("uuid-1", false, "")),
                    Catch::Contains("not complete"));
  // Another file, with the same content: layers were merged.
  CHECK_NOTHROW(checked.check_belongs(size, identity("uuid-2", true, "c1/long")));
}

TEST_CASE("files of digests that cannot be used are refused") {
  Image image;
  CHECK_THROWS_WITH(CheckedDisk(image.path), Catch::Contains("no such file"));
  image.write_digests(false);
  CHECK_THROWS_WITH(CheckedDisk(image.path), Catch::Contains("not finished"));
  image.write_digests();
  SECTION("cut short") {
    std::filesystem::resize_file(image.path, digests::header_bytes + 6 * 16);
    CHECK_THROWS_WITH(CheckedDisk(image.path), Catch::Contains("should have"));
  }
  SECTION("something else") {
    std::ofstream(image.path) << "{}";
    CHECK_THROWS_WITH(CheckedDisk(image.path), Catch::Contains("not a file of digests"));
  }
  SECTION("with another key") {
    std::fstream file(image.path);
    std::string text(digests::header_bytes, ' ');
    file.read(text.data(), digests::header_bytes);
    file.seekp(static_cast<std::streamoff>(text.find("\"key\":\"") + 7));
    file << (text[text.find("\"key\":\"") + 7] == 'f' ? "e" : "f");
    file.close();
    CHECK_THROWS_WITH(CheckedDisk(image.path), Catch::Contains("not a file of digests"));
  }
}
