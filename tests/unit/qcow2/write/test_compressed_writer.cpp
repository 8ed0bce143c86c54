// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/qcow2/compressed_support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("whole clusters are compressed, noise is stored as it is, zeroes stay zero clusters") {
  Directory directory;
  std::string path = directory.file("a");
  auto image = open_compressed(path, 1 << 20, 65536, CompressionType::zstd);
  image->write(text(300000, 1), 0);
  image->write(random_bytes(131072, 1), 6 * 65536);
  image->write(Bytes(65536), 0);
  image->finalise();
  image.reset();
  Counts counts = count(path);
  CHECK(counts.compressed == 4);  // of five, the last in part: what was zeroed is one
  CHECK(counts.data == 2);
  CHECK(counts.zero == 1);
  CHECK(std::filesystem::file_size(path) < 13 * 65536);
  CHECK(check(path) == 0);
}

TEST_CASE("small writes in order become whole compressed clusters", "[single]") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes data = text(2 << 20, 4);
  auto image = open_compressed(path, 2 << 20, 65536, CompressionType::zlib);
  for (size_t at = 0; at < data.size(); at += 4096) {
    image->write(std::span(data).subspan(at, 4096), at);
  }
  image->finalise();
  image.reset();
  CHECK(count(path).compressed == 32);
  CHECK(std::filesystem::file_size(path) < (2 << 20) * 6 / 10 + 8 * 65536);
}

TEST_CASE("writes that are flushed one by one do not let the file grow without bounds",
          "[single]") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes data = text(1 << 20, 4);
  auto image = open_compressed(path, 1 << 20, 65536, CompressionType::zstd);
  for (size_t at = 0; at < data.size(); at += 4096) {
    image->write(std::span(data).subspan(at, 4096), at);
    image->flush();
  }
  CHECK((read_all(*image) == data));
  image->finalise();
  image.reset();
  CHECK(std::filesystem::file_size(path) < 4 << 20);
  CHECK(check(path) == 0);
}

TEST_CASE("more partial clusters than there is memory for are completed, oldest first",
          "[single]") {
  Directory directory;
  std::string path = directory.file("a"), base = directory.file("base");
  Bytes model = text(24 << 20, 1);
  write_file(base, model);
  auto image = open_compressed(path, model.size(), 65536, CompressionType::zstd, 1, base);
  for (size_t round = 0; round < 2; ++round) {
    for (size_t c = 0; c < 384; ++c) {
      Bytes data = random_bytes(100, c + round);
      size_t at = c * 65536 + 1000 * round + 50;
      image->write(data, at);
      std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  CHECK((read_all(*image) == model));
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK(count(path).data + count(path).compressed == 384);
}

TEST_CASE("what was flushed is there after a crash, also of partial clusters", "[single]") {
  Directory directory;
  std::string path = directory.file("a");
  for (auto type : {CompressionType::zlib, CompressionType::zstd}) {
    std::filesystem::remove(path);
    auto image = open_compressed(path, 8 << 20, 65536, type);
    Bytes data = text(3000000, 3);
    image->write(data, 12345);
    image->flush();
    image->write(text(2 << 20, 5), 5 << 20);
    std::string crashed = directory.file("crashed"), repaired = directory.file("repaired");
    auto over = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(path, crashed, over);
    std::filesystem::copy_file(path, repaired, over);
    CHECK(check(repaired, "-r all") == 0);
    for (const std::string &file : {crashed, repaired}) {
      auto again = open_compressed(file, 0, 0, type);
      CHECK((read_part(*again, 12345, data.size()) == data));
      again->write(data, 100);
      again->finalise();
      again.reset();
      CHECK(check(file) == 0);
    }
    image.reset();
  }
}

TEST_CASE("what was decompressed is not shown again when the space holds something else") {
  Directory directory;
  auto image = open_compressed(directory.file("a"), 1 << 20, 65536, CompressionType::zstd);
  // The two differ in their first bytes alone, and compress to the same length.
  Bytes one = text(65536, 1), two = one;
  std::swap(two[0], two[1]);
  REQUIRE(one[0] != one[1]);
  for (const Bytes &data : {one, two}) {
    image->write(data, 0);
    image->finalise();  // as when the last client leaves
    Bytes part = read_part(*image, 0, 512);
    CHECK(std::equal(part.begin(), part.end(), data.begin()));
    image->zero(0, 65536);
    image->finalise();
  }
}

TEST_CASE("a last cluster that is not whole is compressed, for us and for QEMU") {
  Directory directory;
  std::string path = directory.file("a");
  for (auto type : {CompressionType::zlib, CompressionType::zstd}) {
    std::filesystem::remove(path);
    Bytes data = text(3 * 65536 + 1024, 1);
    auto image = open_compressed(path, data.size(), 65536, type);
    image->write(data, 0);
    image->finalise();
    image.reset();
    CHECK(count(path).compressed == 4);
    CHECK((read_all(*reopen(path)) == data));
    write_file(path + ".model", data);
    CHECK(std::system(("qemu-img compare -q -f raw -F qcow2 " + path + ".model " + path).c_str()) ==
          0);
  }
}

TEST_CASE("what is known in part and not stored yet is told as data") {
  Directory directory;
  auto image = open_compressed(directory.file("a"), 1 << 20, 65536, CompressionType::zlib);
  image->write(text(100, 1), 200000);
  auto list = extents_of(*image, {0, 1 << 20});
  REQUIRE(list.size() == 3);
  CHECK(list[1] == extents::Extent{3 * 65536, 65536, extents::data});
}
