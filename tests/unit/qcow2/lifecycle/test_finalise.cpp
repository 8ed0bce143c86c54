// SPDX-License-Identifier: BSD-3-Clause
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/unit/qcow2/compressed_support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("an image left dirty is rebuilt from its tables, with nothing flushed missing") {
  Directory directory;
  std::string path = directory.file("a.qcow2"), copy = directory.file("copy.qcow2");
  auto image = create(path, 40 << 20, 4096);
  Bytes data = random_bytes(10 << 20, 3);
  image->write(data, 12345);
  image->flush();
  image->write(data, 25 << 20);  // not flushed: may be there or not
  std::filesystem::copy_file(path, copy);
  CHECK(check(copy) == 2);  // no refcounts yet
  std::string repaired = directory.file("repaired.qcow2");
  std::filesystem::copy_file(copy, repaired);
  CHECK(check(repaired, "-r all") == 0);

  for (const std::string &file : {copy, repaired}) {
    std::string said;
    util::Log log([&](util::Level level, const std::string &text) {
      if (level == util::Level::warning) said = text;
    });
    auto again = reopen(file, log);
    CHECK((said.find("not closed cleanly") != std::string::npos) == (file == copy));
    CHECK((read_part(*again, 12345, data.size()) == data));
    again->write(data, 0);
    again->finalise();
    again.reset();
    CHECK(check(file) == 0);
  }
}

TEST_CASE("the refcount table moves when the file outgrows it") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  // Clusters of 512 bytes: a table of one cluster describes 8 MiB.
  auto image = create(path, 2 << 20, 512);
  Bytes data = random_bytes(2 << 20, 3);
  for (int round = 0; round < 6; ++round) {
    image->zero(0, 2 << 20);
    image->write(data, 0);
  }
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  image = reopen(path);
  CHECK((read_all(*image) == data));
}

TEST_CASE("refcounts of every width count what is shared, or limit it") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 7);
  for (size_t i = 0; i < model.size() / 2; ++i) model[i] = std::byte('a' + i / 4096 % 20);
  for (unsigned bits : {1, 2, 4, 8, 16, 32, 64}) {
    INFO("refcounts of " << bits << " bits");
    REQUIRE(std::system(("qemu-img create -q -f qcow2 -o cluster_size=4k,refcount_bits=" +
                         std::to_string(bits) + " " + path + " 1M")
                            .c_str()) == 0);
    auto image = open_compressed(path, 0, 0, CompressionType::zlib);
    image->write(model, 0);
    image->finalise();
    image->write(std::span(model).first(100000), 4096);
    std::copy_n(Bytes(model).begin(), 100000, model.begin() + 4096);
    image->flush();
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
    CHECK(count(path).compressed > 200);
    image = reopen(path);
    CHECK((read_all(*image) == model));
    image->zero(0, 1 << 19);
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}

TEST_CASE("the space of unlinked compressed clusters is given back when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  auto blocks = [&] {
    struct stat st;
    REQUIRE(::stat(path.c_str(), &st) == 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  };
  Bytes model = text(8 << 20, 1);
  auto image = open_compressed(path, 8 << 20, 65536, CompressionType::zstd);
  image->write(model, 0);
  image->finalise();
  uint64_t before = blocks();
  CHECK(before > 3 << 20);
  image->zero(0, 7 << 20);  // what is left is at the end of the file
  std::fill_n(model.begin(), 7 << 20, std::byte{0});
  image->flush();
  CHECK(blocks() + (1 << 20) > before);
  image->finalise();
  CHECK(blocks() < before / 4);
  CHECK((read_all(*image) == model));
  image->write(std::span(model).last(1 << 20), 0);  // writing continues
  std::copy_n(model.end() - (1 << 20), 1 << 20, model.begin());
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}

TEST_CASE("the COPIED bit of a compressed cluster is cleared when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 1);
  auto image = open_compressed(path, 64 << 20, 65536, CompressionType::zlib);
  image->write(model, 0);
  image->finalise();
  image.reset();
  Settings settings;
  settings.path = path;
  uint64_t table = host_offset(open_read_only(settings)->map.l1().value(0));
  Bytes file = load_file(path);
  file[table] |= std::byte{0x80};
  write_file(path, file);
  image = open_compressed(path, 0, 0, CompressionType::zlib);
  CHECK((read_part(*image, 0, 1 << 20) == model));
  image->write(random_bytes(65536, 2), 48 << 20);  // in the same table, far from there
  image->finalise();
  image.reset();
  CHECK((load_file(path)[table] & std::byte{0xc0}) == std::byte{0x40});
  CHECK(check(path) == 0);
  CHECK((read_part(*reopen(path), 0, 1 << 20) == model));
}

TEST_CASE("references are counted in a file with more clusters than are counted at a time",
          "[single]") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 1);
  for (size_t i = 0; i < model.size(); ++i) model[i] = std::byte('a' + i / 512 % 20);
  auto half = std::span(model).first(model.size() / 2);
  auto image = open_compressed(path, model.size(), 512, CompressionType::zstd);
  image->write(half, 0);
  image->finalise();
  image.reset();
  std::filesystem::resize_file(path, uint64_t{9 << 20} * 512);  // a long hole
  image = open_compressed(path, 0, 0, CompressionType::zstd);
  image->write(std::span(model).last(model.size() / 2), model.size() / 2);
  image->finalise();
  image.reset();
  CHECK(std::filesystem::file_size(path) > uint64_t{9 << 20} * 512);
  CHECK(count(path).compressed == 2048);
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}

TEST_CASE("a COPIED bit that is missing is set when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  auto image = create(path, 64 << 20, 65536);
  image->write(random_bytes(1 << 20, 1), 0);
  image->finalise();
  image.reset();
  Settings settings;
  settings.path = path;
  uint64_t table = host_offset(open_read_only(settings)->map.l1().value(0));
  Bytes file = load_file(path);
  file[table] &= ~std::byte{0x80};
  file[table + 8] &= ~std::byte{0x80};
  write_file(path, file);
  CHECK(check(path) == 2);
  image = reopen(path);
  image->write(random_bytes(10, 2), 48 << 20);  // in the same table, far from there
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((load_file(path)[table] & std::byte{0x80}) != std::byte{0});
}

TEST_CASE("what is cut off at the end of the file is allocated again") {
  Directory directory;
  std::string path = directory.file("a");
  auto image = create(path, 8 << 20, 65536);
  for (int round = 0; round < 5; ++round) {
    image->write(random_bytes(4 << 20, 1), 0);
    image->finalise();
    image->zero(0, 4 << 20);
    image->finalise();
  }
  CHECK(std::filesystem::file_size(path) < 1 << 20);
  image.reset();
  CHECK(check(path) == 0);
}

TEST_CASE("where compressed data has ended before, closing cuts off nothing of what is there now") {
  Directory directory;
  std::string path = directory.file("a"), base = directory.file("base");
  constexpr uint64_t cluster = 4096, size = 4 << 20;
  constexpr uint64_t far = 1000 * cluster;  // at the end of the second L2 table
  Bytes model(size);
  auto begin = [&](const std::string &over) {
    auto image = open_compressed(path, size, cluster, CompressionType::zstd, 1, over);
    image->write(text(cluster, 1), 0);
    image->zero(0, cluster);
    image->finalise();
    return image;
  };
  std::unique_ptr<Image> image;
  SECTION("data that does not shrink") {
    image = begin("");
    Bytes data = noise(cluster, 2);
    image->write(data, cluster);
    std::copy(data.begin(), data.end(), model.begin() + cluster);
  }
  SECTION("a table") {
    model = text(size, 3);
    write_file(base, model);
    image = begin(base);
    image->zero(far, cluster);
    std::fill_n(model.begin(), cluster, std::byte{0});
    std::fill_n(model.begin() + far, cluster, std::byte{0});
  }
  image->flush();
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}

TEST_CASE("tables with holes between their entries are read whole when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  auto image = create(path, 512 << 20, 65536);
  for (uint64_t n : {100u, 2600u, 5100u, 8000u}) image->write(random_bytes(100, n), n * 65536);
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  image = reopen(path);
  for (uint64_t n : {100u, 2600u, 5100u, 8000u}) {
    CHECK((read_part(*image, n * 65536, 100) == random_bytes(100, n)));
  }
}

TEST_CASE("refcount blocks are added for a refcount table that moves, and for themselves") {
  Directory directory;
  std::string path = directory.file("a");
  // Clusters of 512 bytes: a block counts 256 of them, and the table does for 64 blocks.
  for (uint64_t end = 72 * 256 + 244; end <= 73 * 256; ++end) {
    std::filesystem::remove(path);
    create(path, 1 << 20, 512).reset();
    std::filesystem::resize_file(path, end * 512);
    auto image = reopen(path);
    image->write(random_bytes(512, 1), 0);
    image->finalise();
    image.reset();
    INFO(end);
    CHECK(check(path) == 0);
  }
}
