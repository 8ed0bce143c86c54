// SPDX-License-Identifier: BSD-3-Clause
//
// The primary, read without a client while the destinations are drained. A part of the door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "common/nbdkit/filter.hpp"
#include "common/util/mutex.hpp"

namespace fanout {

// A background connection to the layer below. It has no export name, and nbdkit does not hold it to
// the thread model; the reads do.
class BackgroundPrimary {
 public:
  // `all`: held for each request of all connections, where the thread model requires that.
  BackgroundPrimary(nbdkit::Backend backend, int thread_model, util::Mutex &all)
      : serial_(thread_model == NBDKIT_THREAD_MODEL_PARALLEL             ? nullptr
                : thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS ? &own_
                                                                         : &all),
        connection_(backend, false, "") {}

  void read(std::span<std::byte> buffer, uint64_t offset) {
    std::unique_lock<util::Mutex> lock;
    if (serial_ != nullptr) lock = std::unique_lock<util::Mutex>(*serial_);
    connection_.next().pread(buffer, offset);
  }

 private:
  util::Mutex own_;
  util::Mutex *const serial_;
  nbdkit::BackgroundNext connection_;
};

}  // namespace fanout
