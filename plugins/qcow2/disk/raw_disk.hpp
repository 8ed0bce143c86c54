// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plugins/qcow2/disk/disk.hpp"
#include "plugins/qcow2/file/image_file.hpp"

namespace qcow2 {

// A raw file or block device at the end of a backing chain.
class RawDisk : public Disk {
 public:
  explicit RawDisk(ImageFile file);

  uint64_t size() const override { return size_; }
  void read(std::span<std::byte> buffer, uint64_t offset) const override;
  bool extents(extents::Range range, const ExtentSink &sink) const override;

 private:
  const ImageFile file_;
  const uint64_t size_;
};

}  // namespace qcow2
