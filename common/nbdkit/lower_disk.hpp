// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below a filter as a disk that can do everything.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "common/nbdkit/next.hpp"
#include "common/nbdkit/request_lock.hpp"

namespace nbdkit {

// What the layer below can do. Asked once: nbdkit wants each question before its use.
struct LowerAbilities {
  explicit LowerAbilities(Next next)
      : write(next.can_write()),
        flush(next.can_flush()),
        zero(write && next.can_zero() != Zero::none),
        native_zero(write && next.can_zero() == Zero::native),
        fast_zero(zero && next.can_fast_zero()),
        native_fua(write && next.can_fua() == Fua::native),
        multi_conn(next.can_multi_conn()),
        extents(next.can_extents()),
        block_size(next.block_size()),
        size(next.get_size()) {}

  // A flush covers also what was written over other connections.
  bool flush_covers_all() const { return multi_conn || !flush; }
  // Requests must begin and end at multiples of it. 1: anywhere.
  uint32_t minimum_block() const { return std::max(block_size.minimum, 1u); }

  bool write, flush, zero, native_zero, fast_zero, native_fua, multi_conn, extents;
  BlockSize block_size;
  uint64_t size;  // bytes
};

// One connection to it. Zeroes are written where it cannot zero; a flush follows where it has no FUA of its own; a
// flush is nothing where it has none. `durable`: on stable storage when the call returns. Every method throws Reported.
// May be used from several threads if the thread model, or the lock, allows that.
class LowerDisk {
 public:
  // lock: held for each request; nothing if nbdkit alone calls. It must outlive the object.
  explicit LowerDisk(Next next, RequestLock *lock = nullptr)
      : next_(next), lock_(lock), can_(next) {}

  const LowerAbilities &can() const { return can_; }
  std::string export_description() const { return next_.export_description(); }

  void read(std::span<std::byte> buffer, uint64_t offset) const {
    const auto lock = hold();
    next_.pread(buffer, offset);
  }

  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) const {
    const auto lock = hold();
    next_.pwrite(buffer, offset, fua(durable));
    flush_instead_of_fua(durable);
  }

  // flags: NBDKIT_FLAG_MAY_TRIM, NBDKIT_FLAG_FAST_ZERO (where can().fast_zero). In steps of 32 MiB: where a plugin
  // cannot zero after all, nbdkit 1.32 zeroes only the first 64 MiB of a request.
  void zero(extents::Range range, uint32_t flags, bool durable) const {
    constexpr uint64_t step = 32u << 20;
    for (uint64_t at = range.offset, count; at < range.end(); at += count) {
      const auto lock = hold();
      count = std::min(can_.zero ? step : zeroes.size(), range.end() - at);
      if (can_.zero) {
        next_.zero(static_cast<uint32_t>(count), at, flags | fua(durable));
      } else {
        next_.pwrite(std::span(zeroes).first(count), at, fua(durable));
      }
    }
    const auto lock = hold();
    flush_instead_of_fua(durable);
  }

  void flush() const {
    const auto lock = hold();
    if (can_.flush) next_.flush();
  }

  // From the beginning of the range on; may end before it does. Data where the layer below does not tell.
  std::vector<extents::Extent> extents(extents::Range range) const {
    if (!can_.extents) return {{range.offset, range.length, extents::data}};
    constexpr uint64_t most = 1u << 31;
    const auto lock = hold();
    return next_.extents(static_cast<uint32_t>(std::min(range.length, most)), range.offset);
  }

  void cache(uint32_t count, uint64_t offset) const {
    const auto lock = hold();
    next_.cache(count, offset);
  }

 private:
  std::unique_lock<util::Mutex> hold() const {
    return lock_ == nullptr ? std::unique_lock<util::Mutex>() : lock_->hold();
  }
  uint32_t fua(bool durable) const { return durable && can_.native_fua ? NBDKIT_FLAG_FUA : 0; }
  void flush_instead_of_fua(bool durable) const {
    if (durable && !can_.native_fua && can_.flush) next_.flush();
  }

  static constexpr std::array<std::byte, 1u << 18> zeroes{};
  Next next_;
  RequestLock *const lock_;
  const LowerAbilities can_;
};

}  // namespace nbdkit
