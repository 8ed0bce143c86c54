// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as the engine sees it. A part of the door.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "common/nbdkit/filter.hpp"
#include "filters/coalesce/lower_connection.hpp"

namespace coalesce {

// A connection's own.
class LowerReader : public Reader {
 public:
  LowerReader(nbdkit::Next next, bool can_extents) : next_(next), can_extents_(can_extents) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }
  std::vector<extents::Extent> extents(extents::Range range) override {
    if (!can_extents_) return {{range.offset, range.length, extents::data}};
    return next_.extents(static_cast<uint32_t>(range.length), range.offset);
  }

 private:
  nbdkit::Next next_;
  bool can_extents_;
};

// One that is opened for a worker.
class WorkerReader : public Reader {
 public:
  explicit WorkerReader(nbdkit::Backend backend)
      : background_(backend, true, ""),
        reader_(background_.next(), background_.next().can_extents()) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override {
    reader_.pread(buffer, offset);
  }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return reader_.extents(range);
  }

 private:
  nbdkit::BackgroundNext background_;
  LowerReader reader_;
};

}  // namespace coalesce
