// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it. A part of the door.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "common/nbdkit/filter.hpp"

namespace fanout {

// Asked once what it can do, and written to as it wants it. `serial`: held for each request; nothing
// if the layer below takes several at a time. For destinations that catch up read it from threads of
// their own, which nbdkit does not hold to the thread model.
class Primary {
 public:
  Primary(nbdkit::Next next, std::mutex *serial)
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
  std::unique_lock<std::mutex> one_at_a_time() const {
    return serial_ == nullptr ? std::unique_lock<std::mutex>()
                              : std::unique_lock<std::mutex>(*serial_);
  }
  uint32_t fua_flag(bool durable) const {
    return durable && fua == nbdkit::Fua::native ? NBDKIT_FLAG_FUA : 0;
  }
  void flush_instead_of_fua(bool durable) const {
    if (durable && fua != nbdkit::Fua::native && can_flush) next_.flush();
  }

  nbdkit::Next next_;
  std::mutex *serial_;
};

// A connection of our own to the layer below.
struct Own {
  Own(nbdkit::Backend backend, int thread_model, std::mutex &all)
      : background(backend, false, ""),
        primary(background.next(), thread_model == NBDKIT_THREAD_MODEL_PARALLEL ? nullptr
                                   : thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS
                                       ? &mine
                                       : &all) {}
  std::mutex mine;
  nbdkit::BackgroundNext background;
  Primary primary;
};

}  // namespace fanout
