// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>

#include "common/digests/digest.hpp"
#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "filters/apply/digests/known_blocks.hpp"
#include "filters/apply/digests/point_digests.hpp"

namespace apply {

// The digests that a run makes, and how far it is.
struct Recording {
  // See PointDigests.
  Recording(const std::string &path, const std::string &parent, const Point &point,
            const DeltaMap &delta, const util::Log &log)
      : files(path, parent, point, delta, log),
        size(files.file().header().size),
        hasher(files.file().header().key),
        known(files.file().header().blocks()) {}

  PointDigests files;
  const uint64_t size;  // of the destination, in bytes
  const digests::Hasher hasher;
  KnownBlocks known;
};

}  // namespace apply
