// SPDX-License-Identifier: BSD-3-Clause
//
// Calls of the system that fail: no space, an error of the disk.
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <optional>
#include <random>

#include "common/util/error.hpp"
#include "tests/unit/qcow2/failure_support.hpp"

using namespace qcow2;
using namespace qcow2::test;

TEST_CASE("without space a write fails, and succeeds when there is some") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  for (auto kind : {FileChange::Kind::write, FileChange::Kind::reserve}) {
    Breaker breaker;
    Settings settings;
    settings.observer = &breaker;
    settings.create = Create::automatic;
    std::filesystem::remove(path);
    auto image = create(path, 16 << 20, 512, "", "", settings);
    Bytes first = random_bytes(1 << 20, 1), second = random_bytes(1 << 20, 2);
    image->write(first, 0);
    image->flush();
    breaker.fails = [&](const FileChange &c) { return c.kind == kind ? ENOSPC : 0; };
    CHECK(error_of([&] { image->write(second, 4 << 20); }) == ENOSPC);
    CHECK(error_of([&] { image->zero(100, 100); }) ==
          (kind == FileChange::Kind::write ? ENOSPC : 0));
    (void)error_of([&] { image->flush(); });
    breaker.fails = [](const FileChange &) { return 0; };
    image->zero(100, 100);
    std::fill(first.begin() + 100, first.begin() + 200, std::byte{0});
    image->write(second, 4 << 20);
    CHECK(error_of([&] { image->flush(); }) == 0);
    CHECK((read_part(*image, 0, 1 << 20) == first));
    CHECK((read_part(*image, 4 << 20, 1 << 20) == second));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}

TEST_CASE(
    "without space for compressed data a write or a flush fails, and succeeds when there is some") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  for (auto kind : {FileChange::Kind::write, FileChange::Kind::reserve}) {
    Breaker breaker;
    Settings settings;
    settings.observer = &breaker;
    settings.compression = Compression{CompressionType::zstd, 1};
    std::filesystem::remove(path);
    auto image = create(path, 16 << 20, 4096, "", "", settings);
    Bytes first = content_of(1 << 20, 6), second = content_of(1 << 20, 4);
    image->write(first, 0);
    image->flush();
    breaker.fails = [&](const FileChange &c) { return c.kind == kind ? ENOSPC : 0; };
    int error = error_of([&] { image->write(second, 4 << 20); });
    if (error == 0) error = error_of([&] { image->flush(); });
    CHECK(error == ENOSPC);
    CHECK((read_part(*image, 0, 1 << 20) == first));
    breaker.fails = [](const FileChange &) { return 0; };
    image->write(second, 4 << 20);
    CHECK(error_of([&] { image->flush(); }) == 0);
    CHECK((read_part(*image, 0, 1 << 20) == first));
    CHECK((read_part(*image, 4 << 20, 1 << 20) == second));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
    CHECK(std::filesystem::file_size(path) < (2 << 20));  // it was compressed
    Bytes disk = read_only(path);
    CHECK(std::equal(second.begin(), second.end(), disk.begin() + (4 << 20)));
  }
}

TEST_CASE("now and then a change of the file fails: the image is sound, with what was flushed") {
  std::optional<Compression> compression;
  SECTION("as it is") {}
  SECTION("compressed") {
    compression = Compression{CompressionType::zstd, 1};
  }
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Breaker breaker;
  std::mt19937_64 dice(2);
  Settings settings;
  settings.observer = &breaker;
  settings.l2_cache_bytes = 1;
  settings.compression = compression;
  auto image = create(path, 4 << 20, 512, "", "", settings);
  breaker.fails = [&](const FileChange &c) {
    return c.kind != FileChange::Kind::sync && dice() % 40 == 0 ? EIO : 0;
  };
  Bytes model(4 << 20);
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; ++i) {
    uint64_t at = random() % (model.size() - 700), n = random() % 700 + 1;
    Bytes data = content_of(n, random());
    for (int error = -1; error != 0;) {
      error = error_of([&] { image->write(data, at); });
      if (error != 0) CHECK(error == EIO);
    }
    std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
  }
  for (int i = 0; i < 1000 && error_of([&] { image->flush(); }) != 0; ++i) {
  }
  CHECK((read_all(*image) == model));
  breaker.fails = [](const FileChange &) { return 0; };
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_only(path) == model));
}

TEST_CASE("after a sync has failed every flush does, and the image stays marked dirty") {
  std::optional<Compression> compression;
  SECTION("as it is") {}
  SECTION("compressed") {
    compression = Compression{CompressionType::zlib, 1};
  }
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Breaker breaker;
  Settings settings;
  settings.observer = &breaker;
  settings.compression = compression;
  auto image = create(path, 1 << 20, 4096, "", "", settings);
  Bytes data = content_of(100000, 4);
  image->write(data, 0);
  image->flush();
  breaker.fails = [](const FileChange &c) { return c.kind == FileChange::Kind::sync ? EIO : 0; };
  image->write(data, 500000);
  CHECK(error_of([&] { image->flush(); }) == EIO);
  breaker.fails = [](const FileChange &) { return 0; };
  CHECK(error_of([&] { image->flush(); }) == EIO);
  CHECK(error_of([&] { image->finalise(); }) == EIO);
  image.reset();
  image = reopen(path);
  CHECK((read_part(*image, 0, data.size()) == data));
  image.reset();
  CHECK(check(path) == 0);
}

TEST_CASE("closing an image may fail and be tried again, also when its refcount table moves") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Bytes data = random_bytes(1 << 20, 3);
  bool failed = true;
  for (int which = 0; failed; ++which) {
    Breaker breaker;
    Settings settings;
    settings.observer = &breaker;
    std::filesystem::remove(path);
    create(path, 1 << 20, 512).reset();  // with a table for 8 MiB
    std::filesystem::resize_file(path, 9 << 20);
    settings.path = path;
    auto image = open_image(settings, util::Log());
    image->write(data, 0);
    image->flush();
    int changes = 0;  // of the header and of the length
    breaker.fails = [&](const FileChange &c) {
      bool counts = c.kind == FileChange::Kind::set_length ||
                    (c.kind == FileChange::Kind::write && c.offset < 512);
      return counts && changes++ == which ? EIO : 0;
    };
    failed = error_of([&] { image->finalise(); }) != 0;
    CHECK(failed == (which < 3));
    image->finalise();
    image.reset();
    CHECK((load_file(path)[Header::features_at + 7] & std::byte{dirty_bit}) == std::byte{0});
    CHECK(check(path) == 0);
    CHECK((read_only(path) == data));
  }
}

TEST_CASE("after closing has failed fresh clusters are fresh, whatever is at the end of the file") {
  constexpr uint64_t cluster = 4096, size = 16 << 20;
  const auto kind = GENERATE(FileChange::Kind::write, FileChange::Kind::set_length);
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Breaker breaker;
  Settings settings;
  settings.observer = &breaker;
  settings.compression = Compression{CompressionType::zstd, 1};
  auto image = create(path, size, cluster, "", "", settings);
  Bytes model(size), data = content_of(1 << 20, 2);
  image->write(data, 0);
  image->flush();
  image->zero(0, data.size());
  image->flush();
  breaker.fails = [&](const FileChange &c) { return c.kind == kind ? EIO : 0; };
  CHECK(error_of([&] { image->finalise(); }) == EIO);
  breaker.fails = [](const FileChange &) { return 0; };
  data = content_of(cluster, 0);
  image->write(data, size / 2);  // in another table
  std::copy(data.begin(), data.end(), model.begin() + size / 2);
  image->finalise();
  CHECK((read_all(*image) == model));
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_only(path) == model));
}
