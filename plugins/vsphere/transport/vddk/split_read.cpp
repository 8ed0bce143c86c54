// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/split_read.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "plugins/vsphere/http/error.hpp"
#include "plugins/vsphere/transport/vddk/abi.hpp"
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

namespace vsphere::vddk {

namespace {

// Errors that VDDK gives for the request itself come again.
bool is_temporary(uint64_t code) {
  return code != vix_invalid_argument && code != vix_not_supported && code != vix_file_access;
}

// A request and the part of the buffer that it is for.
struct Part {
  Worker::Slot slot;
  std::span<std::byte> to;
  size_t skip;  // bytes of the first sector that were not asked for
};

}  // namespace

void split_read(Worker &worker, std::span<std::byte> buffer, uint64_t offset,
                const std::string &name, ReadCounters &counters) {
  std::deque<Part> under_way;
  auto finish_first = [&] {
    Part &part = under_way.front();
    Done done = part.slot.wait();
    if (done.code != vix_ok) {
      throw TransportError(
          EIO,
          fmt::format("transport vddk: cannot read {} bytes at offset {} of {}: {} (error {})",
                      buffer.size(), offset, name, done.text, done.code),
          is_temporary(done.code), /*connected=*/true);
    }
    ++counters.requests;
    counters.bytes += part.to.size();
    std::memcpy(part.to.data(), part.slot.memory().data() + part.skip, part.to.size());
    under_way.pop_front();
  };
  std::span<std::byte> rest = buffer;
  for (uint64_t at = offset; !rest.empty();) {
    // A read that has a slot does not wait for another, so that two reads cannot wait for each
    // other.
    std::optional<Worker::Slot> slot = worker.acquire(/*may_wait=*/under_way.empty());
    if (!slot) {
      finish_first();
      continue;
    }
    const size_t skip = at % sector_size;
    const size_t length = std::min(rest.size(), slot_size - skip);
    const uint64_t sectors = (skip + length + sector_size - 1) / sector_size;
    under_way.push_back({std::move(*slot), rest.first(length), skip});
    under_way.back().slot.read(at / sector_size, static_cast<uint32_t>(sectors));
    rest = rest.subspan(length);
    at += length;
  }
  while (!under_way.empty()) finish_first();
}

}  // namespace vsphere::vddk
