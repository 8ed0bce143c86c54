// SPDX-License-Identifier: BSD-3-Clause
//
// Images with compressed clusters made by qemu-img.
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

// Text-like stretches, noise that does not compress, and zeroes.
Bytes mixed_bytes(size_t size, uint64_t seed) {
  Bytes bytes = random_bytes(size, seed);
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < size;) {
    size_t n = std::min<size_t>(random() % 300000 + 1, size - at);
    auto stretch = std::span(bytes).subspan(at, n);
    if (seed % 3 == 0) std::memset(stretch.data(), 0, n);
    if (seed % 3 == 1) make_letters(stretch, 7);
    at += n;
    seed = random();
  }
  return bytes;
}

// qemu-img makes it of the bytes, with compressed clusters.
void convert(const Bytes &bytes, const std::string &path, uint64_t cluster_size,
             const std::string &type) {
  write_file(path + ".raw", bytes);
  std::string command =
      "qemu-img convert -c -O qcow2 -o cluster_size=" + std::to_string(cluster_size) +
      ",compression_type=" + type + " " + path + ".raw " + path;
  REQUIRE(std::system(command.c_str()) == 0);
}

void put(Bytes &model, const Bytes &data, size_t at) {
  std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

TEST_CASE("compressed clusters are read, written over, zeroed and trimmed", "[single]") {
  Directory directory;
  std::string path = directory.file("a");
  for (const char *type : {"zlib", "zstd"}) {
    for (uint64_t cluster : {512u, 4096u, 65536u, 2u << 20}) {
      INFO(type << " " << cluster);
      Bytes model = mixed_bytes(cluster == 512       ? 1025 << 9
                                : cluster < 1u << 20 ? 3 << 20
                                                     : 14 << 20,
                                cluster);
      convert(model, path, cluster, type);
      auto image = reopen(path);
      CHECK((read_all(*image) == model));

      Bytes data = random_bytes(3 * cluster, 2);
      image->write(std::span(data).first(700), cluster + 100);  // a part of one
      put(model, Bytes(data.begin(), data.begin() + 700), cluster + 100);
      image->write(data, model.size() / 2 + 13);  // parts and whole ones
      put(model, data, model.size() / 2 + 13);
      image->zero(2 * cluster + 5, cluster);
      put(model, Bytes(cluster), 2 * cluster + 5);
      image->trim(model.size() - 2 * cluster, 2 * cluster);
      uint64_t whole = Geometry::round_up(model.size() - 2 * cluster, cluster);
      std::fill(model.begin() + static_cast<std::ptrdiff_t>(whole), model.end(), std::byte{0});
      CHECK((read_all(*image) == model));
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      write_file(path + ".model", model);
      CHECK(std::system(
                ("qemu-img compare -q -f raw -F qcow2 " + path + ".model " + path).c_str()) == 0);
      image = reopen(path);
      CHECK((read_all(*image) == model));
    }
  }
}

TEST_CASE("a backing file may have compressed clusters") {
  Directory directory;
  Bytes model = mixed_bytes(5 << 20, 1);
  convert(model, directory.file("base"), 65536, "zstd");
  Bytes below = load_file(directory.file("base"));
  auto image = create(directory.file("over"), 6 << 20, 4096, directory.file("base"), "qcow2");
  model.resize(6 << 20);
  Bytes data = random_bytes(100, 2);
  for (size_t at : {5u, 70000u, 3000000u, 5242800u}) {
    image->write(data, at);
    put(model, data, at);
  }
  CHECK((read_all(*image) == model));
  image->finalise();
  image.reset();
  CHECK(check(directory.file("over")) == 0);
  CHECK((load_file(directory.file("base")) == below));
}

TEST_CASE("refcounts of shared host clusters are rebuilt after a crash") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = mixed_bytes(5 << 20, 4);
  convert(model, path, 65536, "zlib");
  auto image = reopen(path);
  Bytes data = random_bytes(70000, 2);
  image->write(data, 100000);
  put(model, data, 100000);
  image->flush();
  std::filesystem::copy_file(path, directory.file("crashed"));
  std::string repaired = directory.file("repaired");
  std::filesystem::copy_file(path, repaired);
  CHECK(check(repaired, "-r all") == 0);
  for (const std::string &file : {directory.file("crashed"), repaired}) {
    auto again = reopen(file);
    CHECK((read_all(*again) == model));
    again->finalise();
    again.reset();
    CHECK(check(file) == 0);
  }
}

TEST_CASE("small reads in a row decompress each cluster once") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = random_bytes(4 << 20, 1);
  make_letters(model, 16);
  convert(model, path, 65536, "zstd");
  Settings settings;
  settings.path = path;
  auto reader = open_read_only(settings);
  const Layer &layer = *reader;
  {
    std::vector<std::jthread> pool;
    for (uint64_t t = 0; t < 4; ++t) {
      pool.emplace_back([&, t] {
        Bytes part = used_buffer(512);
        for (uint64_t at = t * 512; at < model.size(); at += 2048) layer.read(part, at);
      });
    }
  }
  CHECK(layer.compressed.decompressed() >= 64);
  CHECK(layer.compressed.decompressed() <= 64 + 64);  // a thread may be left behind by the others
  uint64_t before = layer.compressed.decompressed();
  for (uint64_t at = 0; at < model.size(); at += 512) {
    Bytes part = read_part(layer, at, 512);
    CHECK(std::equal(part.begin(), part.end(), model.begin() + static_cast<std::ptrdiff_t>(at)));
  }
  CHECK(layer.compressed.decompressed() <= before + 64);
}

TEST_CASE("a compressed cluster that is damaged is EIO, and the others are read") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = random_bytes(4 << 20, 1);
  make_letters(model, 16);
  for (const char *type : {"zlib", "zstd"}) {
    convert(model, path, 65536, type);
    Settings settings;
    settings.path = path;
    Entry entry = open_read_only(settings)->map.entry(3);
    REQUIRE(is_compressed(entry));
    util::write_at(util::open_file(path, O_WRONLY), random_bytes(100, 1),
                   compressed_range(entry, 16).offset, path);
    auto image = reopen(path);
    for (size_t length : {512u, 65536u, 400000u}) {
      Bytes part = used_buffer(length);
      try {
        image->read(part, 3 * 65536);
        FAIL("it was read");
      } catch (const util::Error &e) {
        CHECK(e.errnum() == EIO);
        CHECK_THAT(e.what(), Catch::Contains("the image is damaged"));
      }
    }
    Bytes rest = read_part(*image, 4 * 65536, model.size() - 4 * 65536);
    CHECK(std::equal(rest.begin(), rest.end(), model.begin() + 4 * 65536));
    // A whole new cluster takes its place; a part of one cannot.
    CHECK_THROWS_AS(image->write(random_bytes(100, 1), 3 * 65536), util::Error);
    CHECK_NOTHROW(image->write(random_bytes(65536, 1), 3 * 65536));
    CHECK((read_part(*image, 3 * 65536, 65536) == random_bytes(65536, 1)));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}
