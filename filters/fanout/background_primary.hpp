// SPDX-License-Identifier: BSD-3-Clause
//
// The primary, read without a client while the destinations are drained. A part of the door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/nbdkit/next.hpp"
#include "common/nbdkit/request_lock.hpp"
#include "common/util/mutex.hpp"

namespace fanout {

// A background connection to the layer below. It has no export name, and nbdkit does not hold it to
// the thread model; the reads do.
class BackgroundPrimary {
 public:
  // all: as in nbdkit::RequestLock.
  BackgroundPrimary(nbdkit::Backend backend, int thread_model, util::Mutex &all)
      : lock_(thread_model, all), connection_(backend, false, "") {}

  void read(std::span<std::byte> buffer, uint64_t offset) {
    const auto lock = lock_.hold();
    connection_.next().pread(buffer, offset);
  }

 private:
  nbdkit::RequestLock lock_;
  nbdkit::BackgroundNext connection_;
};

}  // namespace fanout
