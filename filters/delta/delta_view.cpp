// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/delta_view.hpp"

namespace delta {

extents::Type view_type(extents::Type honest, bool owed, Zeroes zeroes) {
  if ((honest & extents::zero) != 0) {
    return zeroes == Zeroes::zero ? extents::zero : extents::data;
  }
  bool unchanged = (honest & extents::hole) != 0;
  return unchanged && !owed ? extents::hole | extents::zero : extents::data;
}

void show(const extents::Extent &honest, const extents::RangeSet &owed, Zeroes zeroes,
          const std::function<void(const extents::Extent &)> &add) {
  owed.split(honest.range(), [&](extents::Range part, bool in) {
    add({part.offset, part.length, view_type(honest.type, in, zeroes)});
    return true;
  });
}

}  // namespace delta
