// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it. A part of the door.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/nbdkit/next.hpp"
#include "filters/apply/disk/destination_disk.hpp"

namespace apply {

class NextLayer : public DestinationDisk {
 public:
  // What the layer below can do and is. It is asked once: nbdkit wants each question before its use.
  struct Abilities {
    explicit Abilities(nbdkit::Next next)
        : write(next.can_write()),
          flush(next.can_flush()),
          zero(write && next.can_zero() != nbdkit::Zero::none),
          fast_zero(zero && next.can_fast_zero()),
          native_fua(write && next.can_fua() == nbdkit::Fua::native),
          multi_conn(next.can_multi_conn()),
          minimum_block(std::max(next.block_size().minimum, 1u)),
          size(next.get_size()),
          description(next.export_description()) {}
    bool write, flush, zero, fast_zero, native_fua, multi_conn;
    uint32_t minimum_block;
    uint64_t size;
    std::string description;
  };

  explicit NextLayer(nbdkit::Next next) : next_(next), can_(next) {}
  const Abilities &can() const { return can_; }

  uint64_t size() const override { return can_.size; }
  const std::string &description() const override { return can_.description; }
  uint32_t minimum_block() const override { return can_.minimum_block; }
  void read(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }

  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) override {
    next_.pwrite(buffer, offset, fua ? NBDKIT_FLAG_FUA : 0);
  }

  // Writes zeroes where the layer below cannot zero.
  void zero(extents::Range range, ZeroFlags flags) override {
    uint32_t bits = (flags.fua ? NBDKIT_FLAG_FUA : 0) |
                    (flags.may_trim ? NBDKIT_FLAG_MAY_TRIM : 0) |
                    (flags.fast ? NBDKIT_FLAG_FAST_ZERO : 0);
    // Not more in one request: if a plugin cannot zero after all, nbdkit 1.32 loses what is beyond
    // 64 MiB.
    constexpr uint64_t most = 32u << 20;
    for (uint64_t at = range.offset; at < range.end();) {
      uint64_t count = std::min(can_.zero ? most : zeroes.size(), range.end() - at);
      if (can_.zero) {
        next_.zero(static_cast<uint32_t>(count), at, bits);
      } else {
        next_.pwrite(std::span(zeroes).first(count), at, bits & NBDKIT_FLAG_FUA);
      }
      at += count;
    }
  }

  void flush() override {
    if (can_.flush) next_.flush();
  }

  bool native_fua() const override { return can_.native_fua; }
  bool flush_covers_all() const override { return can_.multi_conn || !can_.flush; }

 private:
  static constexpr std::array<std::byte, 1u << 18> zeroes{};
  nbdkit::Next next_;
  const Abilities can_;
};

}  // namespace apply
