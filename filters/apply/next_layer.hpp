// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it. A part of the door.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/nbdkit/lower_disk.hpp"
#include "filters/apply/disk/destination_disk.hpp"

namespace apply {

class NextLayer : public DestinationDisk {
 public:
  explicit NextLayer(nbdkit::Next next) : disk_(next), description_(disk_.export_description()) {}
  const nbdkit::LowerAbilities &can() const { return disk_.can(); }

  uint64_t size() const override { return can().size; }
  const std::string &description() const override { return description_; }
  uint32_t minimum_block() const override { return can().minimum_block(); }
  void read(std::span<std::byte> buffer, uint64_t offset) override { disk_.read(buffer, offset); }
  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) override {
    disk_.write(buffer, offset, fua);
  }
  void zero(extents::Range range, ZeroFlags flags) override {
    disk_.zero(
        range,
        (flags.may_trim ? NBDKIT_FLAG_MAY_TRIM : 0) | (flags.fast ? NBDKIT_FLAG_FAST_ZERO : 0),
        flags.fua);
  }
  void flush() override { disk_.flush(); }

  bool native_fua() const override { return can().native_fua; }
  bool flush_covers_all() const override { return can().flush_covers_all(); }

 private:
  const nbdkit::LowerDisk disk_;
  const std::string description_;
};

}  // namespace apply
