// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"

namespace qcow2 {

// Called with the extents of a range, in order and without gaps. Returns false to end it.
using ExtentSink = std::function<bool(const extents::Extent &)>;

// A disk that is only read, such as a backing file. May be used from any thread. Errors are
// util::Error with the path of the file.
class Disk {
 public:
  virtual ~Disk() = default;

  virtual uint64_t size() const = 0;  // bytes
  // Beyond size() everything reads as zeroes.
  virtual void read(std::span<std::byte> buffer, uint64_t offset) const = 0;
  // Returns false if the sink has ended it.
  virtual bool extents(extents::Range range, const ExtentSink &sink) const = 0;
  // The UUIDs of this file and of those below it, in that order; empty for one that has none.
  virtual std::vector<std::string> uuids() const { return {""}; }
};

}  // namespace qcow2
