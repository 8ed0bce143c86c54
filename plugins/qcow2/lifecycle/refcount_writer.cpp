// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/refcount_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/refcount_block.hpp"

namespace qcow2 {

namespace {

class RefcountWriter {
 public:
  RefcountWriter(const ImageFile &file, const Geometry &geometry, ClusterAllocator &allocator,
                 AtomicBitmap &used, SharedRefcounts &shared)
      : file_(file),
        geometry_(geometry),
        per_block_(geometry.refcounts_per_block()),
        allocator_(allocator),
        blocks_(allocator.blocks()),
        used_(used),
        shared_(shared) {}

  RefcountTable write(RefcountTable table) {
    allocator_.set_end(end_of_used());
    for (uint64_t block : blocks_) {
      if (block != 0) use(geometry_.cluster_of(block));
    }
    add_missing_blocks();
    if (blocks_.size() * 8 > geometry_.start_of(table.clusters)) {
      table = place_table();
    } else {
      use_table(table);
    }
    add_missing_blocks();
    if (blocks_.size() * 8 > geometry_.start_of(table.clusters)) {
      util::fail(EFBIG, "{}: the image file is too long for clusters of {} bytes", file_.path(),
                 geometry_.cluster_size());
    }
    write_blocks();
    write_table(table);
    return table;
  }

 private:
  void use(uint64_t cluster) {
    used_.add(cluster);
    if (cluster >= allocator_.end()) allocator_.set_end(cluster + 1);
  }
  void use_table(RefcountTable table) {
    for (uint64_t i = 0; i < table.clusters; ++i) use(geometry_.cluster_of(table.offset) + i);
  }
  uint64_t append() {
    uint64_t cluster = allocator_.end();
    use(cluster);
    return cluster;
  }

  uint64_t end_of_used() const {
    uint64_t end = allocator_.end();
    while (end > 0 && !used_.contains(end - 1)) --end;
    return end;
  }

  bool any_used(uint64_t block) const {
    for (uint64_t c = block * per_block_; c < (block + 1) * per_block_; ++c) {
      if (used_.contains(c)) return true;
    }
    return false;
  }

  // A block that is added at the end of the file may need another one for itself.
  void add_missing_blocks() {
    for (uint64_t k = 0; k * per_block_ < allocator_.end(); ++k) {
      if (k >= blocks_.size()) blocks_.resize(k + 1);
      if (blocks_[k] == 0 && any_used(k)) blocks_[k] = geometry_.start_of(append());
    }
  }

  // Half as long again as needed, so that neither the blocks for itself nor the next run move it
  // again.
  RefcountTable place_table() {
    uint64_t bytes = std::min<uint64_t>(blocks_.size() * 12 + 64, max_refcount_table_bytes);
    uint64_t clusters = Geometry::divide_up(bytes, geometry_.cluster_size());
    RefcountTable table{geometry_.start_of(allocator_.end()), static_cast<uint32_t>(clusters)};
    use_table(table);
    return table;
  }

  uint64_t refcount(uint64_t cluster) {
    if (!used_.contains(cluster)) return 0;
    uint64_t count = std::max<uint64_t>(shared_.references(cluster), 1);
    if (count > geometry_.max_refcount()) {
      util::fail(EFBIG,
                 "{}: {} compressed clusters share the one at offset {}, more than refcounts of {} "
                 "bits can count: run qemu-img check on it",
                 file_.path(), count, geometry_.start_of(cluster),
                 1u << geometry_.refcount_order());
    }
    return count;
  }

  void write_blocks() {
    std::vector<std::byte> bytes(geometry_.cluster_size());
    for (size_t k = 0; k < blocks_.size(); ++k) {
      if (blocks_[k] == 0) continue;
      for (uint64_t i = 0; i < per_block_; ++i) {
        store_refcount(bytes, geometry_.refcount_order(), i, refcount(k * per_block_ + i));
      }
      file_.write(bytes, blocks_[k]);
    }
  }

  void write_table(RefcountTable table) {
    std::vector<std::byte> bytes(geometry_.start_of(table.clusters));
    for (size_t k = 0; k < blocks_.size(); ++k) store_be<uint64_t>(&bytes[k * 8], blocks_[k]);
    file_.write(bytes, table.offset);
  }

  const ImageFile &file_;
  const Geometry geometry_;
  const uint64_t per_block_;
  ClusterAllocator &allocator_;
  std::vector<uint64_t> &blocks_;
  AtomicBitmap &used_;
  SharedRefcounts &shared_;
};

}  // namespace

RefcountTable write_refcounts(const ImageFile &file, const Geometry &geometry, RefcountTable table,
                              ClusterAllocator &allocator, AtomicBitmap &used,
                              SharedRefcounts &shared) {
  return RefcountWriter(file, geometry, allocator, used, shared).write(table);
}

}  // namespace qcow2
