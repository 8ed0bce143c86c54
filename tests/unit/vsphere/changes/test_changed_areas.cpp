// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <random>

#include "common/extents/range_set.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/changes/changed_areas.hpp"
#include "plugins/vsphere/changes/extent_maps.hpp"
#include "tests/unit/rounds.hpp"

using namespace vsphere;
using extents::Range;

namespace {

// The answer of a server whose disk has `areas`: at most `length` bytes and `most` areas of it.
AreaPage page_of(const std::vector<Range> &areas, uint64_t capacity, uint64_t start,
                 uint64_t length, size_t most) {
  AreaPage page{start, std::min(length, capacity - start), {}};
  for (const auto &area : areas) {
    Range part = extents::intersect(area, {page.start, page.length});
    if (part.empty()) continue;
    if (page.areas.size() == most) {
      page.length = page.areas.back().end() - start;
      break;
    }
    page.areas.push_back(part);
  }
  return page;
}

void refuses(uint64_t capacity, const AreaPage &page, const char *why) {
  INFO(why);
  CHECK_THROWS_WITH(all_areas(capacity, [&](uint64_t) { return page; }), Catch::Contains(why));
}

}  // namespace

TEST_CASE("pages are queried until the disk is covered, also across pages without areas") {
  std::vector<uint64_t> asked;
  auto areas = all_areas(400, [&](uint64_t start) {
    asked.push_back(start);
    AreaPage page{start, 100, {}};
    if (start == 0) page.areas = {{0, 10}};
    if (start == 300) page.areas = {{390, 10}};
    return page;
  });
  CHECK(asked == std::vector<uint64_t>{0, 100, 200, 300});
  CHECK(areas == std::vector<Range>{{0, 10}, {390, 10}});
}

TEST_CASE("an empty disk is not queried") {
  CHECK(all_areas(0, [](uint64_t) -> AreaPage { throw std::logic_error("asked"); }).empty());
}

TEST_CASE("an invalid page is refused") {
  refuses(100, {10, 90, {}}, "does not begin");
  refuses(100, {0, 0, {}}, "covers nothing");
  refuses(100, {0, 101, {}}, "beyond the disk");
  refuses(100, {0, 100, {{50, 10}, {40, 5}}}, "not in order");
  refuses(100, {0, 100, {{10, 20}, {20, 5}}}, "not in order");
  refuses(100, {0, 50, {{40, 20}}}, "outside");
  refuses(100, {0, 50, {{60, 5}}}, "outside");
  refuses(100, {0, 100, {{10, UINT64_MAX - 5}}}, "outside");
}

TEST_CASE("random areas are the same when they come in random pages") {
  std::mt19937_64 random(20260821);
  auto below = [&](uint64_t n) { return random() % n; };
  for (unsigned round = 0; round < testing::rounds(300); ++round) {
    constexpr uint64_t block = 64 << 10;
    uint64_t blocks = 1 + below(2000);
    uint64_t capacity = blocks * block - below(127) * 512;
    extents::RangeSet truth(capacity);
    for (uint64_t i = below(200); i > 0; --i) {
      truth.add({below(blocks) * block, (1 + below(4)) * block});
    }
    std::vector<Range> areas = truth.ranges();
    auto found = all_areas(capacity, [&](uint64_t start) {
      REQUIRE(start < capacity);
      return page_of(areas, capacity, start, (1 + below(200)) * block, 1 + below(20));
    });
    REQUIRE(found == areas);
    REQUIRE(total_length(found) == truth.bytes());
  }
}

TEST_CASE("a DiskChangeInfo is parsed") {
  pugi::xml_document document;
  REQUIRE(document.load_string(
      "<returnval><startOffset>33554432</startOffset><length>16777216</length>"
      "<changedArea><start>33554432</start><length>131072</length></changedArea>"
      "<changedArea><start>34000896</start><length>65536</length></changedArea></returnval>"));
  AreaPage page = parse_area_page(document.first_child());
  CHECK(page.start == 33554432);
  CHECK(page.length == 16777216);
  CHECK(page.areas == std::vector<Range>{{33554432, 131072}, {34000896, 65536}});
  REQUIRE(document.load_string("<returnval><startOffset>0</startOffset></returnval>"));
  CHECK_THROWS_AS(parse_area_page(document.first_child()), util::Error);
}
