// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/broadcast/broadcaster.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>

#include "common/util/error.hpp"

namespace fanout {

namespace {

// Calls it and returns what it throws.
std::exception_ptr run(const Broadcaster::Primary &primary) {
  try {
    primary();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

// Calls it for each, also if it throws for one, and returns the first that it throws.
template <typename List, typename F>
std::exception_ptr for_all(const List &list, F &&call) {
  std::exception_ptr first;
  for (const auto &one : list) {
    try {
      call(*one);
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  return first;
}

}  // namespace

Broadcaster::Broadcaster(const DestinationList &destinations) : destinations_(destinations) {
  update_minimum_block();
}

void Broadcaster::update_minimum_block() {
  minimum_block_ = 1;
  for (const auto &d : destinations_) {
    if (auto info = d->info()) minimum_block_ = std::max(minimum_block_, info->minimum_block);
  }
}

void Broadcaster::write(std::span<const std::byte> buffer, uint64_t offset, bool fua,
                        const Primary &primary) {
  change({.range = {offset, buffer.size()}, .data = buffer, .fua = fua}, primary);
}

void Broadcaster::zero(uint64_t count, uint64_t offset, uint32_t flags, bool fua,
                       const Primary &primary) {
  change({.range = {offset, count}, .data = {}, .flags = flags, .fua = fua}, primary);
}

// The destinations carry it out on their connections' threads while the primary does on this one.
void Broadcaster::change(const Change &change, const Primary &primary) {
  check_alignment(change.range);
  check();
  extents::RangeLock::Hold hold(ranges_, change.range);
  std::vector<std::unique_ptr<PendingChange>> pending;
  pending.reserve(destinations_.size());
  for (const auto &d : destinations_) pending.push_back(d->begin_change(change));
  for (const auto &p : pending) p->send();
  const std::exception_ptr failure = run(primary);
  for (const auto &p : pending) p->wait();
  if (change.fua) {
    for (const auto &p : pending) p->flush_without_fua();
    for (const auto &p : pending) p->wait();
  }
  const std::exception_ptr unsaved = for_all(pending, [&](auto &p) { p.end(!failure); });
  if (failure) std::rethrow_exception(failure);
  check();
  if (unsaved) std::rethrow_exception(unsaved);
}

void Broadcaster::flush(const Primary &primary) {
  check();
  std::vector<std::unique_ptr<PendingFlush>> pending;
  for (const auto &d : destinations_) {
    if (auto p = d->begin_flush()) pending.push_back(std::move(p));
  }
  for (const auto &p : pending) p->send();
  const std::exception_ptr failure = run(primary);
  for (const auto &p : pending) p->wait();
  for (const auto &p : pending) p->end();
  // Also those that are not connected: another thread may have found the loss, and not saved it.
  const std::exception_ptr unsaved = for_all(destinations_, [](auto &d) { d.save_at_risk(); });
  if (failure) std::rethrow_exception(failure);
  check();
  if (unsaved) std::rethrow_exception(unsaved);
}

bool Broadcaster::can_flush() const {
  return std::any_of(destinations_.begin(), destinations_.end(), [](const auto &d) {
    auto info = d->info();
    return info && info->can_flush;
  });
}

bool Broadcaster::can_zero() const {
  return std::all_of(destinations_.begin(), destinations_.end(), [](const auto &d) {
    auto info = d->info();
    return !info || info->can_zero;
  });
}

void Broadcaster::check() const {
  for (const auto &d : destinations_) d->check();
}

void Broadcaster::check_alignment(Range range) const {
  if ((range.offset | range.length) % minimum_block_ == 0) return;
  for (const auto &d : destinations_) {
    auto info = d->info();
    if (!info || (range.offset | range.length) % info->minimum_block == 0) continue;
    util::fail(EINVAL,
               "{}: the server takes only blocks of {} bytes, and the client's request is for {} "
               "bytes at offset {}: use a client that honours the minimum block size",
               d->name(), info->minimum_block, range.length, range.offset);
  }
}

}  // namespace fanout
