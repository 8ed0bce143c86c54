// SPDX-License-Identifier: BSD-3-Clause
//
// A read of any size and alignment, split into requests of whole sectors that each fit a slot.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vsphere::vddk {

class Worker;

// What VDDK has read, of the requests that succeeded.
struct ReadCounters {
  std::atomic<uint64_t> requests = 0;
  std::atomic<uint64_t> bytes = 0;
};

// Fills the buffer from the offset. Several requests are under way at the same time. `name` of the
// disk is for messages. Throws TransportError.
void split_read(Worker &worker, std::span<std::byte> buffer, uint64_t offset,
                const std::string &name, ReadCounters &counters);

}  // namespace vsphere::vddk
