// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/delta_set.hpp"

namespace apply {

using extents::Range;

void DeltaSet::add(Range range) {
  if (range.empty()) return;
  uint64_t begin = range.offset, end = range.end();
  if (begin > 0) {
    if (Piece before = mask_->at(begin - 1); before.kind == Kind::outside) {
      begin = before.range.offset;
    }
  }
  if (end < mask_->size()) {
    if (Piece after = mask_->at(end); after.kind == Kind::outside) end = after.range.end();
  }
  Range wide{begin, end - begin};
  set_.split(wide, [&](Range part, bool in) {
    if (!in) bytes_ += mask_->delta_bytes(part);
    return true;
  });
  set_.add(wide);
}

void DeltaSet::add(const DeltaSet &other) {
  other.set_.split({0, mask_->size()}, [&](Range part, bool in) {
    if (in) add(part);
    return true;
  });
}

void DeltaSet::subtract(Range range) {
  set_.split(range, [&](Range part, bool in) {
    if (in) bytes_ -= mask_->delta_bytes(part);
    return true;
  });
  set_.subtract(range);
}

void DeltaSet::for_each_missing(uint64_t from, const std::function<bool(const Piece &)> &f) const {
  if (from >= mask_->size()) return;
  set_.split({from, mask_->size() - from}, [&](Range part, bool in) {
    return in || mask_->for_each(part, [&](const Piece &piece) {
      return piece.kind == Kind::outside || f(piece);
    });
  });
}

void DeltaSet::for_each_owed(const std::function<void(Range)> &f) const {
  Range last{};
  for_each_missing(0, [&](const Piece &piece) {
    if (piece.range.offset == last.end() && !last.empty()) {
      last.length += piece.range.length;
    } else {
      if (!last.empty()) f(last);
      last = piece.range;
    }
    return true;
  });
  if (!last.empty()) f(last);
}

}  // namespace apply
