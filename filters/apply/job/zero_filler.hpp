// SPDX-License-Identifier: BSD-3-Clause
//
// Zeroes what the clients left out: where the map says zero, and where it says data and the source
// has zeroes (a client that looks for zeroes in what it has read need not send them).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/disk/disk_bytes.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

// Used by one thread.
class ZeroFiller {
 public:
  // The first areas of what is missing, from an offset on; an empty list if there is none. An area
  // that was filled since may still be among them.
  using Missing = std::function<std::vector<Area>(uint64_t from)>;
  using Zero = std::function<void(extents::Range)>;  // zeroes at most 32 MiB at the destination
  enum class End {
    finished,     // nothing is missing
    left_early,   // the source has data where nothing arrived
    unreadable,   // data is missing, and the source is a map alone
    interrupted,  // stop() returned true
  };
  struct Result {
    End end;
    uint64_t offset = 0;  // left_early, unreadable: of the first byte that is missing
  };

  // stop is called between requests. The source and its view must outlive it.
  ZeroFiller(Source &source, const DeltaView &view, std::function<bool()> stop)
      : source_(source), view_(view), stop_(std::move(stop)) {}

  // Whether fill() would finish. Changes nothing.
  bool could_finish(const Missing &missing) {
    return check_data(missing, [](auto) {}).end == End::finished;
  }

  // Zeroes in order, first what the map says is zero, then data up to the first 1 MiB that is not
  // zero at the source. What the source or `zero` throws goes to the caller; what was zeroed before
  // stays so.
  Result fill(const Missing &missing, const Zero &zero);

 private:
  // Calls f for the missing data that is zero at the source, in order.
  Result check_data(const Missing &missing, const Zero &f);
  Result check_batch(DiskBytes &source, std::span<const extents::Range> batch, const Zero &f);

  Source &source_;
  const DeltaView &view_;
  const std::function<bool()> stop_;
};

}  // namespace apply
