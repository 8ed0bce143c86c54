// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/broadcast/broadcaster.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

Fan::Fan(const DestinationList &destinations) : destinations_(destinations) {
  find_minimum_block();
}

void Fan::find_minimum_block() {
  minimum_block_ = 1;
  for (const auto &d : destinations_) {
    if (auto info = d->info()) minimum_block_ = std::max(minimum_block_, info->minimum_block);
  }
}

void Fan::write(std::span<const std::byte> buffer, uint64_t offset, bool fua,
                const Primary &primary) {
  change(
      {offset, buffer.size()}, buffer, fua,
      [&](Link &link, Gather &gather, Outcome &outcome) {
        link.write(gather, outcome, buffer, offset, fua);
      },
      primary);
}

void Fan::zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua, const Primary &primary) {
  change(
      {offset, count}, {}, fua,
      [&](Link &link, Gather &gather, Outcome &outcome) {
        link.zero(gather, outcome, count, offset, flags, fua);
      },
      primary);
}

// The destinations work in the background while the primary does on this thread.
void Fan::change(Range range, std::span<const std::byte> data, bool fua, const Send &send,
                 const Primary &primary) {
  check_alignment(range);
  check();
  RangeLock::Hold hold(busy_, range);
  std::vector<std::unique_ptr<Destination::Part>> parts;
  for (const auto &d : destinations_) parts.push_back(d->begin(range));
  std::exception_ptr failure;
  {
    Gather gather;  // waits at the end of this block
    for (const auto &part : parts) {
      if (part->link) send(*part->link, gather, part->outcome);
    }
    try {
      primary();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (fua) {
    Gather gather;
    for (const auto &part : parts) {
      if (part->link && !part->link->info().can_fua) part->link->flush(gather, part->outcome);
    }
  }
  for (const auto &part : parts) part->destination.end(*part, !failure, fua, data);
  if (failure) std::rethrow_exception(failure);
  check();
}

void Fan::flush(const Primary &primary) {
  check();
  struct One {
    Destination &destination;
    std::unique_ptr<Destination::FlushPart> part;
  };
  std::vector<One> all;
  for (const auto &d : destinations_) {
    if (auto part = d->begin_flush()) all.push_back({*d, std::move(part)});
  }
  std::exception_ptr failure;
  {
    Gather gather;
    for (const One &one : all) one.part->link->flush(gather, one.part->outcome);
    try {
      primary();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  for (const One &one : all) one.destination.end_flush(*one.part);
  if (failure) std::rethrow_exception(failure);
  check();
}

bool Fan::can_flush() const {
  return std::any_of(destinations_.begin(), destinations_.end(), [](const auto &d) {
    auto info = d->info();
    return info && info->can_flush;
  });
}

bool Fan::can_zero() const {
  return std::all_of(destinations_.begin(), destinations_.end(), [](const auto &d) {
    auto info = d->info();
    return !info || info->can_zero;
  });
}

void Fan::check() const {
  for (const auto &d : destinations_) d->check();
}

void Fan::check_alignment(Range range) const {
  if ((range.offset | range.length) % minimum_block_ == 0) return;
  for (const auto &d : destinations_) {
    auto info = d->info();
    if (!info || (range.offset | range.length) % info->minimum_block == 0) continue;
    util::fail(EINVAL,
               "{}: the server takes only blocks of {} bytes, and the client's request is for {} "
               "bytes at offset {}: use a client that heeds the minimum block size",
               d->name(), info->minimum_block, range.length, range.offset);
  }
}

}  // namespace fanout
