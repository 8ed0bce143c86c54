// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/mask.hpp"

namespace apply {

namespace {

Kind kind_of(extents::Type type) {
  if (type == (extents::hole | extents::zero)) return Kind::outside;
  return type == extents::zero ? Kind::zero : Kind::data;
}

}  // namespace

Mask::Mask(const extents::ExtentMap &view)
    : map_(view.size(), static_cast<extents::Type>(Kind::outside)), delta_(view.size()) {
  view.for_each({0, view.size()}, [&](const extents::Extent &e) {
    Kind kind = kind_of(e.type);
    map_.set(e.range(), static_cast<extents::Type>(kind));
    if (kind != Kind::outside) delta_.add(e.range());
    return true;
  });
}

void Mask::split(extents::Range range, const std::function<void(const Piece &)> &f) const {
  map_.for_each(range, [&](const extents::Extent &e) {
    f({e.range(), static_cast<Kind>(e.type)});
    return true;
  });
  uint64_t beyond = std::max(range.offset, size());
  if (beyond < range.end()) f({{beyond, range.end() - beyond}, Kind::outside});
}

std::vector<Piece> Mask::pieces(const std::vector<extents::Range> &ranges) const {
  std::vector<Piece> list;
  for (const auto &range : ranges) {
    split(range, [&](const Piece &piece) { list.push_back(piece); });
  }
  return list;
}

}  // namespace apply
