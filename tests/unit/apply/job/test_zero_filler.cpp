// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/zero_filler.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;
using End = ZeroFiller::End;

namespace {

constexpr uint64_t M = 1u << 20;

struct Setup {
  FakeDisk disk{extents::ExtentMap(100 * M), 3 * M};
  FakeSource source{disk};
  Ranges zeroed;
  size_t stop_after = 1000000;
  DeltaView view{DeltaMap(disk.map), ""};
  ZeroFiller filler{source, view, [this] { return stop_after-- == 0; }};
  ZeroFiller::Zero zero = [this](Range range) { zeroed.push_back(range); };
};

// Tells two areas at a time, so that missing areas are asked for more than once.
ZeroFiller::Missing of(std::vector<Area> areas) {
  return [areas = std::move(areas)](uint64_t from) {
    std::vector<Area> list;
    for (const Area &area : areas) {
      if (area.range.offset >= from && list.size() < 2) list.push_back(area);
    }
    return list;
  };
}

}  // namespace

TEST_CASE("the source is not needed if nothing is missing") {
  Setup s;
  s.disk.gone = true;
  CHECK(s.filler.fill(of({}), s.zero).end == End::finished);
  CHECK(s.filler.could_finish(of({})));
}

TEST_CASE("areas of kind zero are zeroed without the source, 32 MiB at a time") {
  Setup s;
  s.disk.gone = true;
  CHECK(s.filler.fill(of({{{5, 40 * M}, Kind::zero}}), s.zero).end == End::finished);
  CHECK(s.zeroed == Ranges{{5, 32 * M}, {5 + 32 * M, 8 * M}});
}

TEST_CASE("data that is zero at the source is zeroed, up to the first that is not zero") {
  Setup s;
  std::vector<Area> missing = {
      {{0, 3}, Kind::data}, {{7, 20 * M}, Kind::data}, {{50 * M, M}, Kind::zero}};
  CHECK(s.filler.could_finish(of(missing)));
  CHECK(s.zeroed.empty());
  CHECK(s.filler.fill(of(missing), s.zero).end == End::finished);
  CHECK(s.zeroed.size() == 22);
  CHECK(s.zeroed[0] == Range{50 * M, M});
  CHECK(s.zeroed[1] == Range{0, 3});
  CHECK(s.zeroed[2] == Range{7, M});

  s.zeroed.clear();
  s.disk.bytes[2 * M + 17] = std::byte{1};
  missing = {{{M, 2 * M}, Kind::data}, {{90 * M, 1}, Kind::data}};
  CHECK_FALSE(s.filler.could_finish(of(missing)));
  auto result = s.filler.fill(of(missing), s.zero);
  CHECK(result.end == End::left_early);
  CHECK(result.offset == 2 * M);
  CHECK(s.zeroed == Ranges{{M, M}});
}

TEST_CASE("a source that is a map alone, a source that is gone, and stop() end the completion") {
  Setup s;
  std::vector<Area> missing = {{{0, M}, Kind::zero}, {{5 * M, 20 * M}, Kind::data}};
  s.disk.readable = false;
  auto result = s.filler.fill(of(missing), s.zero);
  CHECK(result.end == End::unreadable);
  CHECK(result.offset == 5 * M);
  CHECK(s.zeroed == Ranges{{0, M}});

  s.disk.gone = true;
  CHECK_THROWS_WITH(s.filler.fill(of(missing), s.zero), "the source is gone");
  CHECK(s.zeroed.size() == 2);

  s.disk.gone = false;
  s.disk.readable = true;
  s.stop_after = 2;
  CHECK(s.filler.fill(of(missing), s.zero).end == End::interrupted);
  CHECK(s.zeroed.size() == 2 + 1 + 16);
  s.stop_after = 0;
  CHECK(s.filler.fill(of(missing), s.zero).end == End::interrupted);
  CHECK(s.zeroed.size() == 19);
}
