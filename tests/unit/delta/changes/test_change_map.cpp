// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <fstream>

#include "common/util/error.hpp"
#include "filters/delta/changes/load_changes.hpp"
#include "tests/unit/directory.hpp"

using delta::ChangeMap;
using extents::Range;

namespace {

// What has changed of a disk of `size` bytes.
std::vector<Range> changed(const ChangeMap &map, uint64_t size) {
  std::vector<Range> list;
  uint64_t at = 0;
  map.split({0, size}, [&](const Range &part, bool has_changed) {
    CHECK(part.offset == at);
    CHECK(part.length > 0);
    at = part.end();
    if (has_changed) list.push_back(part);
  });
  CHECK(at == size);
  return list;
}

// The map in a file with this text.
ChangeMap load(const std::string &text, const std::string &context = "") {
  testing::Directory directory;
  const std::string path = directory.path() + "/map";
  std::ofstream(path) << text;
  return delta::load_changes({path, context}, {}, {});
}

std::string entry(uint64_t offset, uint64_t length, int type, const char *description) {
  return "{\"offset\":" + std::to_string(offset) + ",\"length\":" + std::to_string(length) +
         ",\"type\":" + std::to_string(type) + ",\"description\":\"" + description + "\"}";
}

}  // namespace

TEST_CASE("a list may be in any order, and its ranges may overlap") {
  ChangeMap map = ChangeMap::of_list({{4096, 512}, {0, 512}, {4000, 200}, {9000, 0}}, "f");
  CHECK(changed(map, 10000) == std::vector<Range>{{0, 512}, {4000, 608}});
  CHECK(map.changed_bytes() == 1120);
  map.check_size(4608, "f");
  CHECK_THROWS_WITH(map.check_size(4607, "delta-map=f"), Catch::Contains("delta-map=f") &&
                                                             Catch::Contains("4608") &&
                                                             Catch::Contains("4607"));
  CHECK_THROWS_AS(ChangeMap::of_list({{1, UINT64_MAX}}, "f"), util::Error);
}

TEST_CASE("an empty list says that nothing has changed") {
  ChangeMap map = load("# nothing\n");
  CHECK(changed(map, 4096).empty());
  CHECK(map.unchanged_until({0, 4096}) == 4096);
}

TEST_CASE("what has not changed is told up to where it ends") {
  ChangeMap map = ChangeMap::of_list({{1000, 500}}, "f");
  CHECK(map.unchanged_until({0, 4096}) == 1000);
  CHECK(map.unchanged_until({0, 600}) == 600);
  CHECK(map.unchanged_until({1000, 10}) == 1000);
  CHECK(map.unchanged_until({1499, 10}) == 1499);
  CHECK(map.unchanged_until({1500, 10}) == 1510);
}

TEST_CASE("a map of a dirty bitmap: what is dirty has changed") {
  const std::string map =
      "[" + entry(0, 512, 0, "clean") + "," + entry(512, 1024, 1, "dirty") + "]";
  CHECK(changed(load(map), 1536) == std::vector<Range>{{512, 1024}});
  CHECK(changed(load(map, "qemu:dirty-bitmap:x"), 1536) == std::vector<Range>{{512, 1024}});
  CHECK_THROWS_WITH(load(map).check_size(2048, "f"), Catch::Contains("1536"));
}

TEST_CASE("a map of honest extents: a hole that is zero has changed, and so has what is no hole") {
  const std::string map = "[" + entry(0, 512, 3, "hole,zero") + "," + entry(512, 512, 1, "hole") +
                          "," + entry(1024, 512, 3, "hole,zero") + "," +
                          entry(1536, 512, 1, "hole") + "," + entry(2048, 512, 0, "data") + "," +
                          entry(2560, 512, 2, "zero") + "]";
  CHECK(changed(load(map), 3072) == std::vector<Range>{{0, 512}, {1024, 512}, {2048, 1024}});
}

TEST_CASE("an allocation in which all holes are zero does not tell what has changed") {
  const std::string data = entry(0, 512, 0, "data") + "," + entry(512, 512, 2, "zero");
  CHECK(changed(load("[" + data + "]"), 1024) == std::vector<Range>{{0, 1024}});
  CHECK_THROWS_WITH(load("[" + data + "," + entry(1024, 512, 3, "hole,zero") + "]"),
                    Catch::Contains("qemu:allocation-depth"));
}

TEST_CASE("a map of the allocation depth: what lies in the topmost layer has changed") {
  const std::string map = "[" + entry(0, 512, 0, "unallocated") + "," +
                          entry(512, 512, 1, "local") + "," +
                          entry(1024, 512, 2, "backing depth 2") + "]";
  CHECK(changed(load(map), 1536) == std::vector<Range>{{512, 512}});
}

TEST_CASE("a map whose types nobody explains is refused") {
  CHECK_THROWS_WITH(load("[" + entry(0, 512, 1, "") + "]"), Catch::Contains("delta-map-context="));
  CHECK_THROWS_WITH(load("[" + entry(0, 512, 1, "") + "]", "x:y"),
                    Catch::Contains("qemu:dirty-bitmap:NAME"));
  CHECK_THROWS_WITH(load("0 512\n", "base:allocation"), Catch::Contains("list"));
  CHECK_THROWS_WITH(delta::load_changes({"/nonexistent/map", ""}, {}, {}),
                    Catch::Contains("/nonexistent/map"));
}
