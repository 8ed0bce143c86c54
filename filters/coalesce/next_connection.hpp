// SPDX-License-Identifier: BSD-3-Clause
//
// Connections to nbdkit's next layer. A part of the door.
#pragma once

#include <span>
#include <vector>

#include "common/nbdkit/filter.hpp"
#include "filters/coalesce/lower_connection.hpp"

namespace coalesce {

// The one that belongs to a client's connection.
class NextConnection : public LowerConnection {
 public:
  NextConnection(nbdkit::Next next, bool can_extents) : next_(next), can_extents_(can_extents) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }
  std::vector<extents::Extent> extents(extents::Range range) override {
    if (!can_extents_) return {{range.offset, range.length, extents::data}};
    return next_.extents(static_cast<uint32_t>(range.length), range.offset);
  }

 private:
  nbdkit::Next next_;
  bool can_extents_;
};

// One that a worker opens for itself, to the default export.
class WorkerConnection : public LowerConnection {
 public:
  explicit WorkerConnection(nbdkit::Backend backend)
      : background_(backend, true, ""),
        connection_(background_.next(), background_.next().can_extents()) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override {
    connection_.pread(buffer, offset);
  }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return connection_.extents(range);
  }

 private:
  nbdkit::BackgroundNext background_;
  NextConnection connection_;
};

}  // namespace coalesce
