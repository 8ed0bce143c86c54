// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/source/delta_view.hpp"

#include <cerrno>

#include "common/util/error.hpp"

namespace apply {

// HOLE alone is only found in honest extents ("not changed"). If these were taken for a view, what
// has become a hole (HOLE and ZERO) would be left as it was.
void append(DeltaView &view, const extents::Extent &extent, const std::string &name) {
  if (extent.type == extents::hole) {
    util::fail(EINVAL,
               "apply-from={}: this is not a delta view: it has a hole that is not zero at offset "
               "{}: put nbdkit-delta-filter over the source, and do not use its export \"honest\"",
               name, extent.offset);
  }
  view.map.append(extent.length, extent.type);
}

}  // namespace apply
