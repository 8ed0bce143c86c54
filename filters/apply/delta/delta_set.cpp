// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

using extents::Range;

void DeltaSet::add(Range range) {
  if (range.empty()) return;
  uint64_t begin = range.offset, end = range.end();
  if (begin > 0) {
    if (Area before = map_->at(begin - 1); before.kind == Kind::outside) {
      begin = before.range.offset;
    }
  }
  if (end < map_->size()) {
    if (Area after = map_->at(end); after.kind == Kind::outside) end = after.range.end();
  }
  Range wide{begin, end - begin};
  set_.split(wide, [&](Range part, bool in) {
    if (!in) bytes_ += map_->delta_bytes(part);
    return true;
  });
  set_.add(wide);
}

void DeltaSet::add(const DeltaSet &other) {
  other.set_.split({0, map_->size()}, [&](Range part, bool in) {
    if (in) add(part);
    return true;
  });
}

void DeltaSet::subtract(Range range) {
  set_.split(range, [&](Range part, bool in) {
    if (in) bytes_ -= map_->delta_bytes(part);
    return true;
  });
  set_.subtract(range);
}

void DeltaSet::intersect(const DeltaSet &other) {
  other.set_.split({0, map_->size()}, [&](Range part, bool in) {
    if (!in) subtract(part);
    return true;
  });
}

void DeltaSet::for_each_missing(uint64_t from, const std::function<bool(const Area &)> &f) const {
  if (from >= map_->size()) return;
  set_.split({from, map_->size() - from}, [&](Range part, bool in) {
    return in || map_->for_each(
                     part, [&](const Area &area) { return area.kind == Kind::outside || f(area); });
  });
}

void DeltaSet::for_each_missing_range(const std::function<void(Range)> &f) const {
  Range last{};
  for_each_missing(0, [&](const Area &area) {
    if (area.range.offset == last.end() && !last.empty()) {
      last.length += area.range.length;
    } else {
      if (!last.empty()) f(last);
      last = area.range;
    }
    return true;
  });
  if (!last.empty()) f(last);
}

}  // namespace apply
