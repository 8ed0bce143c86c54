// SPDX-License-Identifier: BSD-3-Clause
//
// The compact map and the sets over it, against what the plain ones say.
#include <catch2/catch.hpp>
#include <random>

#include "filters/apply/delta/delta_set.hpp"
#include "filters/apply/delta/delta_map.hpp"

using namespace apply;
using extents::Range;

namespace {

constexpr uint64_t G = 1u << 30;

std::vector<Piece> pieces(const Mask &mask, Range range) {
  std::vector<Piece> list;
  mask.for_each(range, [&](const Piece &piece) { return list.push_back(piece), true; });
  return list;
}

}  // namespace

TEST_CASE("pieces that begin on either side of 4 GiB, and some that are longer than that") {
  Mask mask;
  mask.append(4 * G - 1, extents::hole | extents::zero);
  mask.append(2, extents::data);
  mask.append(20 * G, extents::zero);
  mask.append(G, extents::zero);
  mask.append(7, extents::hole | extents::zero);
  std::vector<Piece> all = {{{0, 4 * G - 1}, Kind::outside},
                            {{4 * G - 1, 2}, Kind::data},
                            {{4 * G + 1, 21 * G}, Kind::zero},
                            {{25 * G + 1, 7}, Kind::outside}};
  CHECK(mask.pieces() == 4);
  CHECK(mask.size() == 25 * G + 8);
  CHECK(pieces(mask, {0, mask.size()}) == all);
  for (const Piece &piece : all) {
    CHECK(mask.at(piece.range.offset) == piece);
    CHECK(mask.at(piece.range.end() - 1) == piece);
  }
  CHECK(mask.at(9 * G) == all[2]);
  CHECK(mask.delta_bytes() == 21 * G + 2);
  CHECK(mask.delta_bytes({4 * G, 2}) == 2);
  CHECK(mask.delta_bytes({8 * G, G}) == G);
  CHECK(mask.delta_bytes({0, 100 * G}) == mask.delta_bytes());
  CHECK(mask.delta_bytes({5, 0}) == 0);
  CHECK(mask.alignment() == 1);
}

TEST_CASE("what all pieces are aligned to") {
  Mask mask;
  mask.append(8192, extents::data);
  mask.append(4096, extents::zero);
  mask.append(513, extents::data);
  CHECK(mask.alignment() == 4096);
  CHECK(Mask().alignment() == uint64_t{1} << 63);
}

TEST_CASE("a random mask, and random sets over it, are what the plain ones say") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    std::mt19937_64 random(seed);
    // Places that are far apart for some seeds, so that there are several pages.
    const uint64_t unit = seed % 2 == 0 ? 1 : G / 8;
    constexpr uint64_t units = 600;
    extents::ExtentMap view(units * unit, 3);
    for (int i = 0; i < 150; ++i) {
      view.set({random() % units * unit, (1 + random() % 9) * unit}, random() % 4);
    }
    Mask mask(view);
    DeltaSet set(mask);
    std::vector<char> in(units, 0);
    auto kind = [&](uint64_t u) { return mask.at(u * unit).kind; };
    bool agree = mask.size() == units * unit;
    for (int step = 0; step < 400 && agree; ++step) {
      Range range{random() % units * unit, (1 + random() % 40) * unit};
      range.length = std::min(range.length, units * unit - range.offset);
      // Only of what is inside, as requests are.
      for (const Piece &piece : pieces(mask, range)) {
        if (piece.kind == Kind::outside) continue;
        bool add = step % 3 != 0;
        if (add) {
          set.add(piece.range);
        } else {
          set.subtract(piece.range);
        }
        for (uint64_t u = piece.range.offset / unit; u < piece.range.end() / unit; ++u) in[u] = add;
      }
      uint64_t bytes = 0, delta = 0;
      std::vector<char> missing(units, 0);
      set.for_each_missing(0, [&](const Piece &p) {
        for (uint64_t u = p.range.offset / unit; u < p.range.end() / unit; ++u) missing[u] = 1;
        return true;
      });
      for (uint64_t u = 0; u < units; ++u) {
        auto type = view.at(u * unit).type;
        bool outside = type == 3;
        agree = agree && (kind(u) == Kind::outside) == outside &&
                (kind(u) == Kind::zero) == (type == 2) && missing[u] == (!outside && in[u] == 0);
        if (!outside && in[u] != 0) bytes += unit;
        if (!outside && u >= range.offset / unit && u < range.end() / unit) delta += unit;
      }
      agree = agree && set.bytes() == bytes && mask.delta_bytes(range) == delta;
    }
    INFO("seed " << seed);
    CHECK(agree);
  }
}

TEST_CASE("a copy of 100 000 areas from one end to the other is one range, and quick to look at") {
  constexpr uint64_t areas = 100'000, step = 65536;
  Mask mask;
  for (uint64_t i = 0; i < areas; ++i) {
    mask.append(step, extents::hole | extents::zero);
    mask.append(step, extents::data);
  }
  CHECK(mask.pieces() == 2 * areas);
  DeltaSet set(mask);
  for (uint64_t i = 0; i < areas; ++i) set.add({(2 * i + 1) * step, step});
  CHECK(set.bytes() == mask.delta_bytes());
  size_t ranges = 0;
  set.split({0, mask.size()}, [&](Range, bool) { return ++ranges, true; });
  CHECK(ranges == 1);
  size_t owed = 0;
  set.subtract({step, step});
  set.for_each_owed([&](Range range) { owed += range == Range{step, step} ? 1 : 100; });
  CHECK(owed == 1);
}
