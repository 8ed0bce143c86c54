// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it. A part of the door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/nbdkit/lower_disk.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/pull_server.hpp"

namespace pull {

class NextLayer : public LocalDisk {
 public:
  // lock: as in nbdkit::LowerDisk.
  NextLayer(nbdkit::Next next, nbdkit::RequestLock &lock) : disk_(next, &lock) {}
  const nbdkit::LowerAbilities &can() const { return disk_.can(); }
  PullServer::Below below() const {
    return {can().size, can().minimum_block(), can().write, can().flush_covers_all(),
            disk_.export_description()};
  }

  void read(std::span<std::byte> buffer, uint64_t offset) override { disk_.read(buffer, offset); }
  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) override {
    disk_.write(buffer, offset, durable);
  }
  void zero(extents::Range range, Hole hole, bool durable) override {
    disk_.zero(range, may_trim(hole), durable);
  }
  void fast_zero(extents::Range range, Hole hole) override {
    disk_.zero(range, may_trim(hole) | NBDKIT_FLAG_FAST_ZERO, false);
  }
  void flush() override { disk_.flush(); }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return disk_.extents(range);
  }

 private:
  static uint32_t may_trim(Hole hole) { return hole == Hole::allowed ? NBDKIT_FLAG_MAY_TRIM : 0; }

  const nbdkit::LowerDisk disk_;
};

// The same by a connection of the background's own: without a client, and so without an export name.
class BackgroundConnection {
 protected:
  BackgroundConnection(nbdkit::Backend backend, int thread_model, util::Mutex &all)
      : lock_(thread_model, all), connection_(backend, false, "") {}
  nbdkit::RequestLock lock_;
  nbdkit::BackgroundNext connection_;
};
class BackgroundDisk : private BackgroundConnection, public NextLayer {
 public:
  // all: as in nbdkit::RequestLock.
  BackgroundDisk(nbdkit::Backend backend, int thread_model, util::Mutex &all)
      : BackgroundConnection(backend, thread_model, all), NextLayer(connection_.next(), lock_) {}
};

}  // namespace pull
