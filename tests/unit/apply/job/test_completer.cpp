// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/completer.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;
using End = Completer::End;

namespace {

constexpr uint64_t M = 1u << 20;

struct Setup {
  FakeDisk disk{extents::ExtentMap(100 * M)};
  FakeSource source{disk};
  Ranges zeroed;
  size_t stop_after = 1000000;
  Completer completer{{[this] {
                         return source.connect({Mask(disk.map), ""});
                       },
                       [this](Range range) { zeroed.push_back(range); },
                       [this] { return stop_after-- == 0; }}};
};

// The pieces, two at a time, so that there is more than one time to ask.
Completer::Missing of(std::vector<Piece> pieces) {
  return [pieces = std::move(pieces)](uint64_t from) {
    std::vector<Piece> list;
    for (const Piece &piece : pieces) {
      if (piece.range.offset >= from && list.size() < 2) list.push_back(piece);
    }
    return list;
  };
}

}  // namespace

TEST_CASE("nothing missing needs no source") {
  Setup s;
  s.disk.gone = true;
  CHECK(s.completer.complete(of({})).end == End::finished);
  CHECK(s.completer.could_finish(of({})));
}

TEST_CASE("what the map says is zero is zeroed without the source, in pieces of 32 MiB") {
  Setup s;
  s.disk.gone = true;
  CHECK(s.completer.complete(of({{{5, 40 * M}, Kind::zero}})).end == End::finished);
  CHECK(s.zeroed == Ranges{{5, 32 * M}, {5 + 32 * M, 8 * M}});
}

TEST_CASE("zeroes that the client left out are zeroed, up to the first that are none") {
  Setup s;
  s.disk.bytes[60 * M + 17] = std::byte{1};
  std::vector<Piece> missing = {
      {{0, 3}, Kind::data}, {{7, 20 * M}, Kind::data}, {{50 * M, M}, Kind::zero}};
  CHECK(s.completer.could_finish(of(missing)));
  CHECK(s.zeroed.empty());
  CHECK(s.completer.complete(of(missing)).end == End::finished);
  CHECK(s.zeroed.size() == 22);
  CHECK(s.zeroed[0] == Range{50 * M, M});
  CHECK(s.zeroed[1] == Range{0, 3});
  CHECK(s.zeroed[2] == Range{7, M});

  s.zeroed.clear();
  missing = {{{59 * M, 2 * M}, Kind::data}, {{90 * M, 1}, Kind::data}};
  CHECK_FALSE(s.completer.could_finish(of(missing)));
  auto result = s.completer.complete(of(missing));
  CHECK(result.end == End::left_early);
  CHECK(result.offset == 60 * M);
  CHECK(s.zeroed == Ranges{{59 * M, M}});
}

TEST_CASE("a source that is a map alone, one that is gone, and a client that is waiting") {
  Setup s;
  std::vector<Piece> missing = {{{0, M}, Kind::zero}, {{5 * M, 20 * M}, Kind::data}};
  s.disk.readable = false;
  auto result = s.completer.complete(of(missing));
  CHECK(result.end == End::unreadable);
  CHECK(result.offset == 5 * M);
  CHECK(s.zeroed == Ranges{{0, M}});

  s.disk.gone = true;
  CHECK_THROWS_WITH(s.completer.complete(of(missing)), "the source is gone");
  CHECK(s.zeroed.size() == 2);

  s.disk.gone = false;
  s.disk.readable = true;
  s.stop_after = 2;
  CHECK(s.completer.complete(of(missing)).end == End::interrupted);
  CHECK(s.zeroed.size() == 2 + 1 + 16);
  s.stop_after = 0;
  CHECK(s.completer.complete(of(missing)).end == End::interrupted);
  CHECK(s.zeroed.size() == 19);
}
