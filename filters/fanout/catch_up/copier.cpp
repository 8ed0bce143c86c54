// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/catch_up/copier.hpp"

#include <algorithm>
#include <utility>

#include "common/util/zero.hpp"

namespace fanout {

bool Copier::run(CopyQueue &queue, DestinationConnection &connection) {
  bool more = true, good = true;
  for (size_t turn = 0; more && good && !queue.stop(); turn ^= 1) {
    Batch &batch = batches_[turn];
    good = finish(queue, batch);
    if (!good) break;
    more = fill(queue, batch);
    for (Part &part : batch.parts) {
      if (!part.read_failed) send(connection, batch, part);
    }
  }
  for (Batch &batch : batches_) {
    good = finish(queue, batch) && good;
    batch.buffer = {};  // no memory is held between two passes
  }
  return good && !more;
}

// False: there is nothing more.
bool Copier::fill(CopyQueue &queue, Batch &batch) {
  for (size_t used = 0; used + largest <= batch_bytes;) {
    auto copy = queue.next();
    if (!copy) return false;
    Part &part = batch.parts.emplace_back(std::move(*copy), used);
    used += part.copy.range.length;
    if (part.copy.data.empty()) read(queue, batch, part);
    if (part.read_failed) return true;
  }
  return true;
}

void Copier::read(CopyQueue &queue, Batch &batch, Part &part) const {
  const Range range = part.copy.range;
  try {
    batch.buffer.resize(batch_bytes);
    part.read_failed =
        !queue.read_primary(std::span(batch.buffer).subspan(part.at, range.length), range.offset);
  } catch (...) {  // the layer that failed has logged it
    part.read_failed = true;
  }
}

// Blocks that contain only zeroes are sent as zero requests.
void Copier::send(DestinationConnection &connection, Batch &batch, Part &part) const {
  const Range range = part.copy.range;
  std::span<const std::byte> data = part.copy.data;
  if (data.empty()) data = std::span(batch.buffer).subspan(part.at, range.length);
  auto zero_at = [&](uint64_t at) {
    return util::is_zero(data.subspan(at, std::min(DirtyMap::block, range.length - at)));
  };
  for (uint64_t at = 0; at < range.length;) {
    const bool zero = zero_at(at);
    uint64_t end = at;
    do {
      end = std::min(end + DirtyMap::block, range.length);
    } while (end < range.length && zero_at(end) == zero);
    if (zero) {
      connection.zero(part.requests, {range.offset + at, end - at}, 0, false);
    } else {
      connection.write(part.requests, data.subspan(at, end - at), range.offset + at, false);
    }
    at = end;
  }
}

bool Copier::finish(CopyQueue &queue, Batch &batch) {
  for (Part &part : batch.parts) part.requests.wait();
  bool good = true;
  for (Part &part : batch.parts) {
    const nbd::Failure *failure = part.requests.succeeded() ? nullptr : &*part.requests.failure();
    queue.finished(std::move(part.copy), failure, part.read_failed);
    // An error of the server does not end the pass: later copies may succeed. Other failures do.
    if (part.read_failed || (failure != nullptr && is_connection_lost(failure->errnum))) {
      good = false;
    }
  }
  batch.parts.clear();
  return good;
}

}  // namespace fanout
