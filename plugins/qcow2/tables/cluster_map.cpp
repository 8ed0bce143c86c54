// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/cluster_map.hpp"

#include <algorithm>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/l2_check.hpp"

namespace qcow2 {

namespace {

// 4 KiB; or the whole table if that is smaller.
constexpr uint64_t max_slice_entries = 512;

void append_be64(std::vector<std::byte> &to, uint64_t value) {
  to.resize(to.size() + 8);
  store_be<uint64_t>(&to[to.size() - 8], value);
}

}  // namespace

ClusterMap::ClusterMap(const Geometry &geometry, const ImageFile &file, uint64_t l1_offset,
                       size_t cache_bytes)
    : geometry_(geometry),
      file_(file),
      l1_offset_(l1_offset),
      l1_(geometry.l1_entries()),
      l2_(std::min(geometry.l2_entries(), max_slice_entries), cache_bytes,
          [this](uint64_t slice, std::span<std::byte> buffer) {
            file_.read_or_zero(buffer, place(slice).offset);
            check_l2_entries(buffer, geometry_, file_.path());
          }) {}

extents::Range ClusterMap::place(uint64_t slice) const {
  uint64_t first = slice * l2_.slice_entries();  // guest cluster
  uint64_t table = host_offset(l1_.value(geometry_.table_of(first)));
  return {table + first % geometry_.l2_entries() * 8, l2_.slice_entries() * 8};
}

Entries ClusterMap::entries(uint64_t cluster) const {
  if (!has_table(cluster)) return {};
  return l2_.pin(cluster / l2_.slice_entries());
}

Entries &ClusterMap::entries(uint64_t cluster, Entries &before) const {
  if (!before.cover(cluster)) before = entries(cluster);
  return before;
}

// Another thread may change an entry of the table, and flush it, as soon as the L1 entry is visible. With
// the mutex that flush finds the part marked.
void ClusterMap::publish_table(uint64_t table, Entry entry) {
  util::MutexLock lock(l1_mutex_);
  l1_.release(table, entry);
  REPLICATE_SYNC_POINT("qcow2.table_published");
  table_added(table);
}

ClusterMap::L1Flush ClusterMap::begin_l1_flush() {
  util::MutexLock lock(l1_mutex_);
  return changed_l1_.begin_flush();
}

void ClusterMap::Changes::clear() {
  bytes_.clear();
  pieces_.clear();
}

std::vector<std::byte> &ClusterMap::Changes::at(uint64_t offset) {
  bool follows =
      !pieces_.empty() && pieces_.back().offset + (bytes_.size() - pieces_.back().start) == offset;
  if (!follows) pieces_.push_back({offset, bytes_.size()});
  return bytes_;
}

void ClusterMap::Changes::write(const ImageFile &file) const {
  for (size_t i = 0; i < pieces_.size(); ++i) {
    size_t end = i + 1 < pieces_.size() ? pieces_[i + 1].start : bytes_.size();
    file.write(std::span(bytes_).subspan(pieces_[i].start, end - pieces_[i].start),
               pieces_[i].offset);
  }
}

void ClusterMap::copy(std::span<const Entries> slices, Changes &to) const {
  for (const Entries &slice : slices) slice.encode(to.at(place(slice).offset));
}

void ClusterMap::copy_l1(std::span<const uint64_t> parts, Changes &to) const {
  for (uint64_t part : parts) {
    uint64_t first = part * l1_part_entries;
    uint64_t last = std::min<uint64_t>(first + l1_part_entries, l1_.size());
    for (uint64_t i = first; i < last; ++i) append_be64(to.at(l1_offset_ + i * 8), l1_.value(i));
  }
}

}  // namespace qcow2
