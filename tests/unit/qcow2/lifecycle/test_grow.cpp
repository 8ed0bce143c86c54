// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "common/util/error.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

constexpr uint64_t K = 1024, M = K * K;

std::unique_ptr<Image> open_with_size(const std::string &path, uint64_t size,
                                      FileObserver *observer = nullptr) {
  Settings settings;
  settings.path = path;
  settings.size = size;
  settings.create = Create::never;
  settings.follow_backing = true;
  settings.observer = observer;
  return open_image(settings, util::Log());
}

// A closed image with these bytes at an offset.
void create_with(const std::string &path, uint64_t size, uint64_t cluster_size,
                 const std::vector<std::byte> &bytes, uint64_t offset) {
  auto image = create(path, size, cluster_size);
  image->write(bytes, offset);
  image->finalise();
}

// Fails at the n-th change of the file, and at each after it, as if the machine had stopped there.
class Stop : public FileObserver {
 public:
  explicit Stop(int n) : left_(n) {}
  uint64_t begin(FileChange) override {
    if (left_-- <= 0) util::fail(EIO, "stopped");
    return 0;
  }
  void done(uint64_t) override {}
  bool has_happened() const { return left_ < 0; }

 private:
  int left_;
};

struct Growth {
  uint64_t cluster, from, to;
};

}  // namespace

TEST_CASE(
    "an image is made larger: what it holds stays, what is new is zero, QEMU finds no fault") {
  const Growth growth = GENERATE(values<Growth>({
      {64 * K, 4 * M, 4 * M + 512},                // by a sector
      {512, 16 * K, 100 * K},                      // another L1 table: an L2 table maps 32 KiB
      {512, 32 * K, 32 * K + 512},                 // across the end of an L2 table
      {512, 32 * K * 64, 32 * K * 64 + 512},       // across a full cluster of L1 entries
      {4 * K, 2 * M, 2 * M + 4 * K},               // across an L2 table of 512 entries
      {64 * K, 512 * M, (uint64_t{3} << 40) + M},  // across 2 TiB
  }));
  CAPTURE(growth.cluster, growth.from, growth.to);
  Directory directory;
  const std::string path = directory.path() + "/image";
  const uint64_t held = std::min(growth.from, 2 * M);
  const auto content = random_bytes(held, 1);
  create_with(path, growth.from, growth.cluster, content, 0);
  {
    auto image = open_with_size(path, growth.to);
    CHECK(image->size() == growth.to);
    std::vector<std::byte> bytes(held);
    image->read(bytes, 0);
    CHECK((bytes == content));
    CHECK(extents_of(*image, {growth.from, growth.to - growth.from}) ==
          std::vector<extents::Extent>{{growth.from, growth.to - growth.from, 3}});
    image->write(random_bytes(512, 2), growth.to - 512);
    image->finalise();
  }
  CHECK(check(path) == 0);
  auto image = reopen(path);
  CHECK(image->size() == growth.to);
  std::vector<std::byte> last(512);
  image->read(last, growth.to - 512);
  CHECK((last == random_bytes(512, 2)));
}

TEST_CASE("an image that is grown again and again") {
  Directory directory;
  const std::string path = directory.path() + "/image";
  uint64_t size = 512;
  create_with(path, size, 512, random_bytes(512, 0), 0);
  for (unsigned round = 1; round < 12; ++round) {
    const uint64_t more = size + 512 * round * round * round;
    auto image = open_with_size(path, more);
    std::vector<std::byte> before(512);
    image->read(before, size - 512);
    CHECK((before == random_bytes(512, round - 1)));
    image->write(random_bytes(512, round), more - 512);
    image->finalise();
    image.reset();
    size = more;
    CHECK(check(path) == 0);
  }
}

TEST_CASE("stopped at any change: the old size or the new one, and what it held") {
  for (int stop = 0;; ++stop) {
    INFO(stop);
    Directory directory;
    const std::string path = directory.path() + "/image";
    const auto content = random_bytes(32 * K, 1);
    create_with(path, 32 * K, 512, content, 0);
    Stop observer(stop);
    bool failed = false;
    try {
      open_with_size(path, 40 * M, &observer)->finalise();
    } catch (const util::Error &) {
      failed = true;
    }
    if (failed) CHECK(observer.has_happened());
    {
      auto image = reopen(path);
      CHECK((image->size() == 32 * K || image->size() == 40 * M));
      if (!failed) CHECK(image->size() == 40 * M);
      std::vector<std::byte> bytes(content.size());
      image->read(bytes, 0);
      CHECK((bytes == content));
      image->finalise();
    }
    CHECK(check(path) == 0);
    auto again = open_with_size(path, 40 * M);
    CHECK(again->size() == 40 * M);
    if (!observer.has_happened()) break;
    REQUIRE(stop < 100);
  }
}

TEST_CASE("a size that is not possible is refused, and nothing is changed") {
  Directory directory;
  const std::string path = directory.path() + "/image";
  create(path, M, 512)->finalise();
  const auto before = load_file(path);
  CHECK_THROWS_WITH(open_with_size(path, M + 1), Catch::Contains("multiple of 512"));
  CHECK_THROWS_WITH(open_with_size(path, uint64_t{1} << 60), Catch::Contains("too large"));
  CHECK_THROWS_WITH(open_with_size(path, M - 512), Catch::Contains("not made smaller"));
  CHECK((load_file(path) == before));
}

TEST_CASE("an overlay larger than its backing file reads as zeroes beyond that") {
  Directory directory;
  const std::string base = directory.path() + "/base", path = directory.path() + "/image";
  const auto content = random_bytes(100 * K, 3);
  create_with(base, 100 * K, 4 * K, content, 0);
  create(path, 100 * K, 4 * K, base, "qcow2")->finalise();
  auto image = open_with_size(path, 300 * K);
  auto bytes = read_all(*image);
  CHECK((std::vector(bytes.begin(), bytes.begin() + 100 * K) == content));
  CHECK((std::vector(bytes.begin() + 100 * K, bytes.end()) == std::vector<std::byte>(200 * K)));
}

TEST_CASE("an overlay smaller than its backing file is not made larger") {
  Directory directory;
  const std::string base = directory.path() + "/base", path = directory.path() + "/image";
  create_with(base, M, 4 * K, random_bytes(M, 3), 0);
  create(path, 100 * K, 4 * K, base, "qcow2")->finalise();
  CHECK_THROWS_WITH(open_with_size(path, M), Catch::Contains("qemu-img resize"));
}
