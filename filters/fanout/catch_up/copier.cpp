// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/catch_up/copier.hpp"

#include <algorithm>
#include <utility>

#include "common/util/zero.hpp"

namespace fanout {

Copier::Copier(Means means) : means_(std::move(means)) {}

bool Copier::run(Link &link) {
  bool more = true, good = true;
  for (size_t turn = 0; more && good && !means_.stop(); turn ^= 1) {
    Batch &batch = batches_[turn];
    good = finish(batch);
    if (!good) break;
    more = fill(batch);
    send(link, batch);
  }
  for (Batch &batch : batches_) {
    good = finish(batch) && good;
    batch.buffer = {};  // nothing is kept while there is nothing to do
  }
  return good && !more;
}

// False: there is nothing more.
bool Copier::fill(Batch &batch) {
  for (size_t used = 0; used + largest <= batch_bytes;) {
    auto copy = means_.next();
    if (!copy) return false;
    Part &part = batch.parts.emplace_back(std::move(*copy), used);
    used += part.copy.range.length;
    if (part.copy.data.empty()) read(batch, part);
    if (part.read_failed) return true;
  }
  return true;
}

void Copier::read(Batch &batch, Part &part) const {
  const Range range = part.copy.range;
  try {
    batch.buffer.resize(batch_bytes);
    part.read_failed =
        !means_.read(std::span(batch.buffer).subspan(part.at, range.length), range.offset);
  } catch (...) {  // it has been reported by what failed
    part.read_failed = true;
  }
}

void Copier::send(Link &link, Batch &batch) {
  for (Part &part : batch.parts) {
    if (!part.read_failed) send_part(link, batch, part);
  }
}

// Blocks of zeroes are sent as such, whatever they are in the primary.
void Copier::send_part(Link &link, Batch &batch, Part &part) {
  const Range range = part.copy.range;
  std::span<const std::byte> data = part.copy.data;
  if (data.empty()) data = std::span(batch.buffer).subspan(part.at, range.length);
  auto zero_at = [&](uint64_t at) {
    return util::is_zero(data.subspan(at, std::min(DirtyMap::block, range.length - at)));
  };
  for (uint64_t at = 0; at < range.length;) {
    bool zero = zero_at(at);
    uint64_t end = at;
    do {
      end = std::min(end + DirtyMap::block, range.length);
    } while (end < range.length && zero_at(end) == zero);
    if (zero) {
      link.zero(batch.gather, part.outcome, end - at, range.offset + at, 0, false);
    } else {
      link.write(batch.gather, part.outcome, data.subspan(at, end - at), range.offset + at, false);
    }
    at = end;
  }
}

bool Copier::finish(Batch &batch) {
  batch.gather.wait();
  bool good = true;
  for (Part &part : batch.parts) {
    const Failure *failure = part.outcome.good() ? nullptr : &*part.outcome.failure();
    means_.over(std::move(part.copy), failure, part.read_failed);
    // Errors of the server do not end the pass: what follows may be better. The rest does.
    if (part.read_failed || (failure != nullptr && means_lost(failure->errnum))) good = false;
  }
  batch.parts.clear();
  return good;
}

}  // namespace fanout
