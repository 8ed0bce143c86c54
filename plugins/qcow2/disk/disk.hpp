// SPDX-License-Identifier: BSD-3-Clause
//
// What lies below an image: a disk that is only read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "common/extents/extent.hpp"

namespace qcow2 {

// Calls for the extents of a range, in order, without gaps; false ends it.
using ExtentSink = std::function<bool(const extents::Extent &)>;

// May be used from any thread. Throws util::Error naming the file.
class Source {
 public:
  virtual ~Source() = default;

  virtual uint64_t size() const = 0;  // bytes
  // Beyond size() everything reads as zeroes.
  virtual void read(std::span<std::byte> buffer, uint64_t offset) const = 0;
  // Returns false if the sink ended it.
  virtual bool extents(extents::Range range, const ExtentSink &sink) const = 0;
};

}  // namespace qcow2
