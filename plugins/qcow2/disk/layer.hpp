// SPDX-License-Identifier: BSD-3-Clause
//
// One QCOW2 file and what lies below it: reading. The image that is written is one, and so is each
// QCOW2 file of the backing chain.
#pragma once

#include <memory>

#include "plugins/qcow2/tables/atomic_bitmap.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/tables/cluster_map.hpp"
#include "plugins/qcow2/disk/disk.hpp"
#include "plugins/qcow2/compressed/reader.hpp"

namespace qcow2 {

class Layer : public Source {
 public:
  // Checks all tables (load_tables), with `used` or a set of its own. backing may be null.
  // cache_bytes: of memory for its L2 tables. Throws util::Error.
  Layer(ImageFile file, const Header &header, std::unique_ptr<Source> backing, size_t cache_bytes,
        Bitmap *used = nullptr);

  uint64_t size() const override { return geometry.size(); }
  void read(std::span<std::byte> buffer, uint64_t offset) const override;
  bool extents(extents::Range range, const ExtentSink &sink) const override;

  const ImageFile file;
  const Geometry geometry;
  const std::unique_ptr<Source> backing;
  Mapping mapping;
  mutable Unpacker unpacker;

  // What a cluster with this entry has in the range, which must lie within it: what is not data of
  // its own, or is no longer linked.
  void read_entry(Entry entry, std::span<std::byte> buffer, uint64_t offset) const;

  // Whether a cluster with this entry reads as zeroes, and that without a look at the backing file.
  bool reads_zero_here(Entry entry) const {
    return reads_zero(entry) || (is_unallocated(entry) && !backing);
  }

 private:
  uint64_t end_of_run(uint64_t cluster, Entry entry, uint64_t end, Entries &entries) const;
};

}  // namespace qcow2
