// SPDX-License-Identifier: BSD-3-Clause
//
// The primary, read without a client while the destinations are drained. A part of the door.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/nbdkit/next.hpp"
#include "common/nbdkit/request_lock.hpp"
#include "common/util/error.hpp"
#include "common/util/mutex.hpp"

namespace fanout {

// A background connection to the layer below. It has no export name, and nbdkit does not hold it to
// the thread model; the reads do.
class BackgroundPrimary {
 public:
  // all: as in nbdkit::RequestLock. size: what is to be read. Throws util::Error if the primary has become smaller,
  // for nbdkit would abort at a read past the end.
  BackgroundPrimary(nbdkit::Backend backend, int thread_model, util::Mutex &all, uint64_t size)
      : lock_(thread_model, all), connection_(backend, false, "") {
    const uint64_t now = connection_.next().get_size();
    if (now < size) {
      util::fail(
          EIO, "fanout: the primary had {} bytes when the destinations were opened, and has {} now",
          size, now);
    }
  }

  void read(std::span<std::byte> buffer, uint64_t offset) {
    const auto lock = lock_.hold();
    connection_.next().pread(buffer, offset);
  }

 private:
  nbdkit::RequestLock lock_;
  nbdkit::BackgroundNext connection_;
};

}  // namespace fanout
