// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"

namespace qcow2 {

// Where packed data is stored. May be used from any thread. Throws util::Error.
class PackedStore {
 public:
  virtual ~PackedStore() = default;
  // Allocates fresh host clusters in a row, with space for them. Returns the offset.
  virtual uint64_t allocate(uint64_t clusters) = 0;
  virtual void write(std::span<const std::byte> data, uint64_t offset) = 0;
  virtual void read(std::span<std::byte> buffer,
                    uint64_t offset) const = 0;  // zeroes beyond its end
};

// The host clusters of an image file. file and allocator must outlive this.
class HostClusters final : public PackedStore {
 public:
  HostClusters(const ImageFile &file, ClusterAllocator &allocator)
      : file_(file), allocator_(allocator) {}

  uint64_t allocate(uint64_t clusters) override { return allocator_.allocate_reserved(clusters); }
  void write(std::span<const std::byte> data, uint64_t offset) override {
    file_.write(data, offset);
  }
  void read(std::span<std::byte> buffer, uint64_t offset) const override {
    file_.read_or_zero(buffer, offset);
  }

 private:
  const ImageFile &file_;
  ClusterAllocator &allocator_;
};

}  // namespace qcow2
