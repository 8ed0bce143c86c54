// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/fan.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

Fan::Fan(std::vector<std::unique_ptr<Destination>> destinations, uint64_t primary_size)
    : destinations_(std::move(destinations)) {
  for (const auto &d : destinations_) {
    const nbd::Info &info = d->info();
    if (info.size < primary_size) {
      util::fail(
          EINVAL,
          "{}: the export has {} bytes, less than the primary's {}: make it at least as large",
          d->name(), info.size, primary_size);
    }
    if (primary_size % info.minimum_block != 0) {
      util::fail(EINVAL,
                 "{}: the server takes only blocks of {} bytes, and the primary's {} bytes are no "
                 "multiple of that",
                 d->name(), info.minimum_block, primary_size);
    }
    minimum_block_ = std::max(minimum_block_, info.minimum_block);
  }
}

void Fan::write(std::span<const std::byte> buffer, uint64_t offset, bool fua,
                const Primary &primary) {
  check_alignment(buffer.size(), offset);
  everywhere([&](Destination &d, Gather &gather) { d.write(gather, buffer, offset, fua); },
             primary);
  if (fua) flush_instead_of_fua();
}

void Fan::zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua, const Primary &primary) {
  check_alignment(count, offset);
  everywhere([&](Destination &d, Gather &gather) { d.zero(gather, count, offset, flags, fua); },
             primary);
  if (fua) flush_instead_of_fua();
}

void Fan::flush(const Primary &primary) {
  everywhere([](Destination &d, Gather &gather) { d.flush(gather); }, primary);
}

void Fan::flush_instead_of_fua() {
  everywhere(
      [](Destination &d, Gather &gather) {
        if (!d.info().can_fua) d.flush(gather);
      },
      [] {});
}

// The destinations work in the background while the primary does on this thread.
void Fan::everywhere(const std::function<void(Destination &, Gather &)> &submit,
                     const Primary &primary) {
  check();
  {
    Gather gather;  // waits at the end of this block, also when the primary throws
    for (const auto &d : destinations_) submit(*d, gather);
    primary();
  }
  check();
}

bool Fan::can_flush() const {
  return std::any_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->info().can_flush; });
}

bool Fan::can_zero() const {
  return std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->info().can_zero; });
}

void Fan::check() const {
  for (const auto &d : destinations_) d->check();
}

void Fan::check_alignment(uint64_t count, uint64_t offset) const {
  if ((offset | count) % minimum_block_ == 0) return;
  for (const auto &d : destinations_) {
    if ((offset | count) % d->info().minimum_block != 0) {
      util::fail(EINVAL,
                 "{}: the server takes only blocks of {} bytes, and the client's request is for {} "
                 "bytes at offset {}: use a client that heeds the minimum block size",
                 d->name(), d->info().minimum_block, count, offset);
    }
  }
}

}  // namespace fanout
