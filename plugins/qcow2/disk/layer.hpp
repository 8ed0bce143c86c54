// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>

#include "plugins/qcow2/compressed/reader.hpp"
#include "plugins/qcow2/disk/disk.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/tables/cluster_map.hpp"

namespace qcow2 {

// The read path of a QCOW2 file over its backing file: of the image that is written, of an image
// that is only read, and of each QCOW2 file of a backing chain.
class Layer : public Disk {
 public:
  // Reads and checks all tables, see check_tables(), with `used` or a set of its own. backing may
  // be null. cache_bytes: memory for the L2 tables. packer: has compressed data that is not in the
  // file yet; may be null, and must outlive this. Throws util::Error.
  Layer(std::unique_ptr<const ImageFile> file, const Header &header, std::unique_ptr<Disk> backing,
        size_t cache_bytes, AtomicBitmap *used = nullptr, const Packer *packer = nullptr);

  uint64_t size() const override { return geometry.size(); }
  void read(std::span<std::byte> buffer, uint64_t offset) const override;
  bool extents(extents::Range range, const ExtentSink &sink) const override;
  std::vector<std::string> uuids() const override { return uuids_; }

  // The content of a cluster with this entry, which must not be a data entry. The range must lie
  // within the cluster.
  void read_entry(Entry entry, std::span<std::byte> buffer, uint64_t offset) const;

  // Whether a cluster with this entry reads as zeroes without a look at the backing file.
  bool reads_zero_here(Entry entry) const {
    return reads_zero(entry) || (is_unallocated(entry) && !backing);
  }

  // Whether the backing file reads as zeroes in the cluster of the range, outside the range.
  bool rest_is_zero(extents::Range range) const;

 private:
  uint64_t end_of_run(uint64_t cluster, Entry entry, uint64_t end, Entries &entries) const;

  const std::unique_ptr<const ImageFile> file_;
  std::vector<std::string> uuids_;

 public:
  const ImageFile &file;
  const Geometry geometry;
  const std::unique_ptr<Disk> backing;  // may be null
  ClusterMap map;
  mutable CompressedReader compressed;
};

}  // namespace qcow2
