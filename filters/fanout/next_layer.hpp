// SPDX-License-Identifier: BSD-3-Clause
//
// The primary, as one client's connection reaches it. A part of the door.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "common/nbdkit/filter.hpp"
#include "common/util/mutex.hpp"

namespace fanout {

// Asks the layer below once what it can do. `serial` is held for each request; nothing if the layer
// takes several at a time. Destinations that catch up read from their own threads, for which nbdkit
// does not keep to the thread model.
class NextLayer {
 public:
  NextLayer(nbdkit::Next next, util::Mutex *serial)
      : can_flush(next.can_flush()),
        can_zero(next.can_zero()),
        fua(next.can_fua()),
        block_size(next.block_size()),
        next_(next),
        serial_(serial) {}

  void read(std::span<std::byte> buffer, uint64_t offset) const {
    auto lock = one_at_a_time();
    next_.pread(buffer, offset);
  }

  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) const {
    auto lock = one_at_a_time();
    next_.pwrite(buffer, offset, fua_flag(durable));
    flush_instead_of_fua(durable);
  }

  // In steps of 32 MiB: nbdkit 1.32 zeroes only the first 64 MiB for a plugin that cannot zero.
  void zero(uint32_t count, uint64_t offset, uint32_t flags, bool durable) const {
    constexpr uint32_t step = 32u << 20;
    static constexpr std::array<std::byte, 65536> zeroes = {};
    auto lock = one_at_a_time();
    for (uint32_t part; count > 0; count -= part, offset += part) {
      if (can_zero == nbdkit::Zero::none) {
        part = std::min<uint32_t>(count, zeroes.size());
        next_.pwrite(std::span(zeroes).first(part), offset, fua_flag(durable));
      } else {
        part = std::min(count, step);
        next_.zero(part, offset, flags | fua_flag(durable));
      }
    }
    flush_instead_of_fua(durable);
  }

  void flush() const {
    auto lock = one_at_a_time();
    if (can_flush) next_.flush();
  }

  std::vector<extents::Extent> extents(uint32_t count, uint64_t offset) const {
    auto lock = one_at_a_time();
    return next_.extents(count, offset);
  }

  void cache(uint32_t count, uint64_t offset) const {
    auto lock = one_at_a_time();
    next_.cache(count, offset);
  }

  const bool can_flush;
  const nbdkit::Zero can_zero;
  const nbdkit::Fua fua;
  const nbdkit::BlockSize block_size;

 private:
  std::unique_lock<util::Mutex> one_at_a_time() const {
    return serial_ == nullptr ? std::unique_lock<util::Mutex>()
                              : std::unique_lock<util::Mutex>(*serial_);
  }
  uint32_t fua_flag(bool durable) const {
    return durable && fua == nbdkit::Fua::native ? NBDKIT_FLAG_FUA : 0;
  }
  void flush_instead_of_fua(bool durable) const {
    if (durable && fua != nbdkit::Fua::native && can_flush) next_.flush();
  }

  nbdkit::Next next_;
  util::Mutex *serial_;  // guards the layer below
};

}  // namespace fanout
