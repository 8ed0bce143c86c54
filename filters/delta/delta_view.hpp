// SPDX-License-Identifier: BSD-3-Clause
//
// The delta view: honest extents translated for clients that know nothing of "not changed"
// (nbdkit-replicate-delta(7), "Extents").
#pragma once

#include <functional>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"

namespace delta {

// How what has become zero is shown: as ZERO, or as data for a client that skips zero extents
// (nbdcopy --destination-is-zero without the apply filter).
enum class Zeroes { zero, data };

// The view's type of bytes whose honest type is `honest`. `owed`: a run that was interrupted owes
// them.
extents::Type view_type(extents::Type honest, bool owed, Zeroes zeroes);

// Calls add for the parts of one honest extent, in order, split where what is owed begins or ends.
void show(const extents::Extent &honest, const extents::RangeSet &owed, Zeroes zeroes,
          const std::function<void(const extents::Extent &)> &add);

}  // namespace delta
