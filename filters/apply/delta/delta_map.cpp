// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/delta_map.hpp"

#include <algorithm>

#include "common/extents/extent_map.hpp"

namespace apply {

using extents::Extent;
using extents::Range;

namespace {

constexpr extents::Type outside = extents::hole | extents::zero;
constexpr uint32_t delta_types = 1u << extents::data | 1u << extents::zero;

// The view's type with what does not matter here left out: everything that is neither outside nor
// known to be zero is data.
extents::Type type_of(extents::Type view) {
  return view == outside || view == extents::zero ? view : extents::data;
}

Kind kind_of(extents::Type type) {
  if (type == outside) return Kind::outside;
  return type == extents::zero ? Kind::zero : Kind::data;
}

}  // namespace

DeltaMap::DeltaMap() : map_(delta_types) {}

DeltaMap::DeltaMap(const extents::ExtentMap &view) : DeltaMap() {
  view.for_each({0, view.size()}, [&](const Extent &e) {
    append(e.length, e.type);
    return true;
  });
}

void DeltaMap::append(uint64_t length, extents::Type type) {
  map_.append(length, type_of(type));
}

Area DeltaMap::at(uint64_t offset) const {
  if (offset >= size()) return {{size(), UINT64_MAX - size()}, Kind::outside};
  Extent extent = map_.at(offset);
  return {extent.range(), kind_of(extent.type)};
}

bool DeltaMap::for_each(Range range, const std::function<bool(const Area &)> &f) const {
  if (range.empty()) return true;
  if (!map_.for_each(range, [&](const Extent &e) { return f({e.range(), kind_of(e.type)}); })) {
    return false;
  }
  uint64_t beyond = std::max(range.offset, size());
  return beyond >= range.end() || f({{beyond, range.end() - beyond}, Kind::outside});
}

}  // namespace apply
