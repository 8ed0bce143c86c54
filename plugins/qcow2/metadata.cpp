// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/metadata.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace qcow2 {

namespace {

// How much of the tables a flush copies at a time.
constexpr size_t flush_bytes = 16u << 20;

}  // namespace

Metadata::Metadata(Layer &layer, const Header &header, uint64_t end, std::vector<uint64_t> blocks,
                   util::Log log)
    : layer_(layer),
      log_(std::move(log)),
      header_(header),
      allocator_(layer.geometry, layer.fd, layer.path, end, std::move(blocks)),
      state_((header.incompatible & dirty_bit) != 0 ? State::dirty : State::clean),
      commit_([this] { flush_round(); }) {}

// Everybody who comes while one thread sets the bit waits for it: no change may overtake it.
void Metadata::before_change() {
  for (State state = state_.load(); state != State::dirty; state = state_.load()) {
    if (state == State::marking) {
      state_.wait(state);
      continue;
    }
    if (!state_.compare_exchange_strong(state, State::marking)) continue;
    State result = State::clean;
    try {
      header_.incompatible |= dirty_bit;
      header_.autoclear = 0;  // what we do not maintain is no longer to be trusted
      write_features();
      sync();
      result = State::dirty;
    } catch (...) {
      state_.store(result);
      state_.notify_all();
      throw;
    }
    state_.store(result);
    state_.notify_all();
  }
}

void Metadata::abandon(uint64_t host_offset, uint64_t length) noexcept {
  discard({{host_offset, length}});
}

void Metadata::need_table(uint64_t cluster) {
  EntryArray &l1 = layer_.mapping.l1();
  uint64_t table = layer_.geometry.table_of(cluster);
  while (l1.value(table) == 0) {
    if (!l1.try_claim(table, 0)) {
      l1.wait_unclaimed(table);
      continue;
    }
    Entry entry = 0;
    try {
      uint64_t offset = allocator_.allocate(1);
      reserve_space(layer_.fd, layer_.path, offset, layer_.geometry.cluster_size());
      entry = offset | copied;
    } catch (...) {
      l1.release(table, 0);
      throw;
    }
    l1.release(table, entry);
    layer_.mapping.table_added(table);
  }
}

void Metadata::changed(uint64_t cluster, Entry old) {
  layer_.mapping.entry_changed(cluster);
  if (host_offset(old) == 0) return;
  extents::Range range{host_offset(old), layer_.geometry.cluster_size()};
  std::lock_guard lock(mutex_);
  if (!left_.empty() && left_.back().end() == range.offset) {
    left_.back().length += range.length;
  } else {
    left_.push_back(range);
  }
}

void Metadata::flush_round() {
  std::vector<extents::Range> left;
  {
    std::lock_guard lock(mutex_);
    left.swap(left_);
  }
  // Ends after the batch that is not full: what others change meanwhile is for their flush.
  for (bool full = true; full;) {
    auto changes = layer_.mapping.take_changes(flush_bytes);
    size_t bytes = 0;
    for (const auto &change : changes) bytes += change.bytes.size();
    full = bytes >= flush_bytes;
    try {
      sync();
      for (const auto &change : changes) {
        util::write_at(layer_.fd, change.bytes, change.offset, layer_.path);
      }
      if (!changes.empty()) sync();
    } catch (...) {
      layer_.mapping.give_back(changes);
      std::lock_guard lock(mutex_);
      left_.insert(left_.end(), left.begin(), left.end());
      throw;
    }
  }
  discard(left);
}

void Metadata::sync() {
  if (sync_failed_.load()) {
    util::fail(EIO,
               "{}: an earlier sync has failed, what was written since may be lost: run "
               "qemu-img check -r all on it and copy again",
               layer_.path);
  }
  if (::fdatasync(layer_.fd.get()) < 0) {
    int error = errno;
    sync_failed_.store(true);
    util::fail_os(error, "cannot sync {}", layer_.path);
  }
}

void Metadata::write_features() {
  util::write_at(layer_.fd, encode_features(header_), Header::features_at, layer_.path);
}

void Metadata::move_refcount_table(RefcountTable table) {
  if (table.offset == header_.refcount_table_offset &&
      table.clusters == header_.refcount_table_clusters) {
    return;
  }
  header_.refcount_table_offset = table.offset;
  header_.refcount_table_clusters = table.clusters;
  std::vector<std::byte> bytes(12);
  store_be64(&bytes[0], table.offset);
  store_be32(&bytes[8], table.clusters);
  util::write_at(layer_.fd, bytes, Header::refcount_table_at, layer_.path);
}

void Metadata::collect_used(Bitmap &used) {
  const Geometry &geometry = layer_.geometry;
  used.add(0);
  uint64_t l1_clusters =
      Geometry::divide_up(uint64_t{header_.l1_entries} * 8, geometry.cluster_size());
  for (uint64_t i = 0; i < l1_clusters; ++i) {
    used.add(geometry.cluster_of(header_.l1_offset) + i);
  }
  for (uint64_t table = 0; table < layer_.mapping.l1().size(); ++table) {
    Entry l1 = layer_.mapping.l1().value(table);
    if (l1 == 0) continue;
    used.add(geometry.cluster_of(host_offset(l1)));
    uint64_t first = table * geometry.l2_entries();
    for (uint64_t i = first; i < first + geometry.l2_entries(); ++i) {
      uint64_t host = host_offset(layer_.mapping.entry(i));
      if (host != 0) used.add(geometry.cluster_of(host));
    }
  }
}

void Metadata::finalise() {
  if (!is_dirty()) return;
  flush();
  Bitmap used(room_for_refcounts(allocator_.end()));
  collect_used(used);
  RefcountTable table = write_refcounts(
      layer_.fd, layer_.path, layer_.geometry,
      {header_.refcount_table_offset, header_.refcount_table_clusters}, allocator_, used);
  // Cuts off what was given out and never linked, and fills the last cluster.
  uint64_t length = layer_.geometry.start_of(allocator_.end());
  if (::ftruncate(layer_.fd.get(), static_cast<off_t>(length)) < 0) {
    util::fail_os(errno, "cannot set the length of {} to {}", layer_.path, length);
  }
  sync();
  move_refcount_table(table);
  header_.incompatible &= ~dirty_bit;
  try {
    write_features();
    sync();
  } catch (...) {
    header_.incompatible |= dirty_bit;
    throw;
  }
  state_.store(State::clean);
  log_.info("{}: closed, {} bytes", layer_.path, length);
}

// Best effort: a file system that cannot do it keeps the space.
void Metadata::discard(const std::vector<extents::Range> &ranges) noexcept {
  for (const auto &range : ranges) {
    (void)::fallocate(layer_.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      static_cast<off_t>(range.offset), static_cast<off_t>(range.length));
  }
}

}  // namespace qcow2
