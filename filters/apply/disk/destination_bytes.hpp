// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <vector>

#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/disk/disk_bytes.hpp"

namespace apply {

// Reads a destination, in whole blocks of the layer below, one request after the other.
class DestinationBytes : public DiskBytes {
 public:
  // The destination must outlive it.
  explicit DestinationBytes(DestinationDisk &destination) : destination_(destination) {}

  void read(std::span<const DiskRead> reads) override;

 private:
  DestinationDisk &destination_;
  std::vector<std::byte> blocks_;  // for a read that does not begin and end with a block
};

}  // namespace apply
