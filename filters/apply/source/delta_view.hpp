// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <optional>
#include <string>

#include "common/extents/extent.hpp"
#include "common/replication/source_description.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// What the source shows when nbdkit starts (nbdkit-replicate-delta(7), "The delta view").
struct DeltaView {
  DeltaMap map;
  std::string description;  // of the export; empty if it has none

  // Nothing if the source does not say what it is.
  std::optional<replication::SourceDescription> source() const {
    return replication::parse_description(description);
  }
};

// Appends an extent of the view to its map. `name` is the source's, for the message. Throws
// util::Error EINVAL at an extent that no delta view has.
void append(DeltaView &view, const extents::Extent &extent, const std::string &name);

}  // namespace apply
