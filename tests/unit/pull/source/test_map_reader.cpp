// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/source/map_reader.hpp"

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "tests/unit/pull/fakes.hpp"

using namespace pull;

namespace {

constexpr uint64_t size = 1000;
// A log of which the lines are kept.
util::Log into(std::vector<std::string> &lines) {
  return util::Log([&lines](util::Level, const std::string &text) { lines.push_back(text); });
}

constexpr extents::Extent hole{0, 300, extents::hole | extents::zero};

// A source whose map is told when tell() is called, and then fails if errnum is not 0.
class SlowMap : public testing::FakeRemote {
 public:
  explicit SlowMap(int errnum = 0) : errnum_(errnum) {}
  void read_map(uint64_t, const std::function<void(const extents::Extent &)> &add) override {
    told_.wait(false);
    add(hole);
    if (errnum_ != 0) util::fail(errnum_, "the source is away");
    add({hole.end(), size - hole.end(), extents::data});
  }
  void tell() {
    told_ = true;
    told_.notify_all();
  }

 private:
  const int errnum_;
  std::atomic<bool> told_ = false;
};

}  // namespace

TEST_CASE("the map is read by a thread, which says when it is known") {
  SlowMap remote;
  SourceMap map(size, false);
  std::atomic<int> calls = 0;
  uint64_t known = 0;
  {
    MapReader reader(remote, map, {});
    CHECK(map.known() == 0);
    reader.when_known([&] {
      known = map.known();
      ++calls;
    });
    CHECK(calls == 0);
    remote.tell();
  }
  CHECK(calls == 1);
  CHECK(known == size);
  CHECK(map.at(0) == hole);
}

TEST_CASE("who asks when the map is known already is told at once") {
  SlowMap remote;
  SourceMap map(size, false);
  remote.tell();
  MapReader reader(remote, map, {});
  std::atomic<bool> first = false;
  reader.when_known([&] {
    first = true;
    first.notify_all();
  });
  first.wait(false);
  bool second = false;
  reader.when_known([&] { second = true; });
  CHECK(second);
}

TEST_CASE("what cannot be read of the map is taken for data, and a warning says so") {
  SlowMap remote(EIO);
  SourceMap map(size, false);
  std::vector<std::string> said;
  remote.tell();
  { MapReader reader(remote, map, into(said)); }
  CHECK(map.known() == size);
  CHECK(map.at(0) == hole);
  CHECK(map.at(hole.end()).type == extents::data);
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "pull: the source is away; holes of the source are read like data");
}

TEST_CASE("a map that is not read any more is not taken for data") {
  SlowMap remote(EINTR);
  SourceMap map(size, false);
  std::vector<std::string> said;
  remote.tell();
  { MapReader reader(remote, map, into(said)); }
  CHECK(map.known() == hole.end());
  CHECK(said.empty());
}
