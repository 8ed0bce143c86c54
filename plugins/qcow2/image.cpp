// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/image.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/zero.hpp"
#include "plugins/qcow2/tables/claims.hpp"
#include "plugins/qcow2/write/compressed_writer.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

Image::Image(ImageFile file, const Header &header, std::unique_ptr<Source> backing,
             const Settings &settings, util::Log log)
    : detect_zeroes_(settings.detect_zeroes),
      log_(std::move(log)),
      connections_([this] { close(); }) {
  check_length(file, Geometry(header));
  uint64_t end = Geometry::divide_up(file.size(), header.cluster_size());
  Bitmap used(end);
  auto blocks = load_refcount_blocks(file, header, used);
  const bool on_disk = file.allow_direct();
  layer_ = std::make_unique<Layer>(std::move(file), header, std::move(backing),
                                   settings.l2_cache_bytes, &used);
  metadata_ = std::make_unique<Metadata>(*layer_, header, end, std::move(blocks), log_);
  if (on_disk) metadata_->reserve_ahead();
  if (metadata_->is_dirty()) {
    log_.warning("{} was not closed cleanly: rebuilding its refcounts", layer_->file.path());
    metadata_->finalise();
  }
  if (!settings.compression) return;
  compressed_ = std::make_unique<CompressedWriter>(*layer_, *metadata_, *settings.compression,
                                                   detect_zeroes_);
  metadata_->set_before_sync([this] { compressed_->write_out(); });
}

Image::~Image() = default;

void Image::close() noexcept {
  try {
    finalise();
  } catch (const std::exception &e) {
    log_.error("{}: not closed cleanly, qemu-img check -r all repairs it: {}", layer_->file.path(),
               e.what());
  }
}

void Image::finalise() {
  uint64_t packed_end = compressed_ ? compressed_->close() : 0;
  layer_->unpacker.forget();  // what is free in the file may be given out again
  metadata_->finalise(packed_end);
}

// A change that is under way when the flush begins counts as made after it.
void Image::flush() {
  uint64_t before = changes_.load();
  make_durable();
  flushed_.store(before);
}

void Image::make_durable() {
  if (compressed_) compressed_->complete_all();
  metadata_->flush();
}

void Image::read(std::span<std::byte> buffer, uint64_t offset) const {
  if (compressed_) {
    compressed_->read(buffer, offset);
  } else {
    layer_->read(buffer, offset);
  }
}

void Image::extents(extents::Range range, const ExtentSink &sink) const {
  if (compressed_) {
    compressed_->extents(range, sink);
  } else {
    layer_->extents(range, sink);
  }
}

void Image::write(std::span<const std::byte> data, uint64_t offset) {
  changes_.fetch_add(1);
  while (!data.empty()) {
    uint64_t n = write_some(data, offset);
    data = data.subspan(n);
    offset += n;
  }
}

// Writes the next piece that can be written in one way; returns how many bytes that was, 0 if
// another thread was waited for.
uint64_t Image::write_some(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_->geometry.cluster_of(offset);
  if (is_whole_and_zero(data, offset, cluster)) {
    zero_cluster(cluster);
    return layer_->geometry.end_of(cluster) - offset;
  }
  if (compressed_) {
    data = data.first(std::min(data.size(), layer_->geometry.end_of(cluster) - offset));
    if (compressed_->write(data, offset)) return data.size();
  }
  Entries entries = layer_->mapping.entries(cluster);
  Entry entry = entries.value(cluster);
  if (is_data(entry)) return write_in_place(data, offset, entry, entries);
  if (entries && entries.is_claimed(cluster)) {
    entries.wait_unclaimed(cluster);
    return 0;
  }
  return write_fresh(data, offset);
}

bool Image::is_whole_and_zero(std::span<const std::byte> data, uint64_t offset,
                              uint64_t cluster) const {
  if (!detect_zeroes_) return false;
  uint64_t start = layer_->geometry.start_of(cluster);
  uint64_t end = layer_->geometry.end_of(cluster);
  if (start < offset || end > offset + data.size()) return false;
  return util::is_zero(data.subspan(start - offset, end - start));
}

// `entries` are those around the first cluster.
uint64_t Image::write_in_place(std::span<const std::byte> data, uint64_t offset, Entry first,
                               Entries &entries) {
  const Geometry &geometry = layer_->geometry;
  uint64_t cluster = geometry.cluster_of(offset);
  uint64_t end = offset + data.size();
  uint64_t last = cluster;
  while (geometry.end_of(last) < end) {
    Entry next = layer_->mapping.entries(last + 1, entries).value(last + 1);
    bool beside = is_data(next) &&
                  host_offset(next) == host_offset(first) + geometry.start_of(last + 1 - cluster);
    if (!beside || is_whole_and_zero(data, offset, last + 1)) break;
    ++last;
  }
  uint64_t n = std::min(end, geometry.end_of(last)) - offset;
  layer_->file.write(data.first(n), host_offset(first) + (offset - geometry.start_of(cluster)));
  return n;
}

uint64_t Image::write_fresh(std::span<const std::byte> data, uint64_t offset) {
  const Geometry &geometry = layer_->geometry;
  uint64_t first = geometry.cluster_of(offset);
  uint64_t end = offset + data.size();
  Claims claims(metadata_->prepare(first), first);
  if (!claims.take_next()) return 0;
  while (geometry.end_of(claims.last()) < end) {
    if (is_whole_and_zero(data, offset, claims.last() + 1) || !claims.take_next()) break;
  }
  uint64_t n = std::min(end, geometry.end_of(claims.last())) - offset;
  link_fresh(data.first(n), offset, claims);
  return n;
}

// What of a fresh cluster is not written by the client, and cannot be left a hole.
std::vector<std::byte> Image::fill(Entry entry, uint64_t from, uint64_t to) const {
  if (from >= to || layer_->reads_zero_here(entry)) return {};
  std::vector<std::byte> bytes(to - from);
  layer_->read_entry(entry, bytes, from);
  if (util::is_zero(bytes)) bytes.clear();
  return bytes;
}

void Image::link_fresh(std::span<const std::byte> data, uint64_t offset, Claims &claims) {
  const Geometry &geometry = layer_->geometry;
  uint64_t end = offset + data.size();
  auto head = fill(claims.old(claims.first()), geometry.start_of(claims.first()), offset);
  auto tail = fill(claims.old(claims.last()), end, geometry.end_of(claims.last()));

  uint64_t host = metadata_->allocate(claims.count());
  uint64_t host_data = host + (offset - geometry.start_of(claims.first()));
  try {
    layer_->file.write_fresh(head, data, tail, host_data - head.size());
  } catch (const util::Error &) {
    metadata_->abandon(host, geometry.start_of(claims.count()));
    throw;
  }
  claims.link(host, geometry.cluster_size(), *metadata_);
}

void Image::zero(uint64_t offset, uint64_t length) {
  changes_.fetch_add(1);
  const Geometry &geometry = layer_->geometry;
  uint64_t end = offset + length;
  if (compressed_) zero_gathered(offset, length);
  while (offset < end) {
    uint64_t cluster = geometry.cluster_of(offset);
    uint64_t stop = std::min(end, geometry.end_of(cluster));
    if (!layer_->backing && !layer_->mapping.has_table(cluster)) {
      uint64_t next = (geometry.table_of(cluster) + 1) * geometry.l2_entries();
      stop = std::min(end, geometry.start_of(next));
    } else if (geometry.start_of(cluster) == offset && geometry.end_of(cluster) == stop) {
      zero_cluster(cluster);
    } else {
      zero_part(offset, stop - offset);
    }
    offset = stop;
  }
}

void Image::trim(uint64_t offset, uint64_t length) {
  const Geometry &geometry = layer_->geometry;
  uint64_t end = offset + length;
  uint64_t first = Geometry::round_up(offset, geometry.cluster_size());
  uint64_t last = end == size() ? end : geometry.start_of(geometry.cluster_of(end));
  if (first < last) zero(first, last - first);
}

// So that nothing of the range is in memory alone, and what is zero in the tables is zero.
void Image::zero_gathered(uint64_t offset, uint64_t length) {
  const Geometry &geometry = layer_->geometry;
  for (uint64_t cluster : compressed_->gathered({offset, length})) {
    uint64_t start = std::max(offset, geometry.start_of(cluster));
    uint64_t stop = std::min(offset + length, geometry.end_of(cluster));
    if (start == geometry.start_of(cluster) && stop == geometry.end_of(cluster)) {
      zero_cluster(cluster);
    } else {
      write(std::vector<std::byte>(stop - start), start);
    }
  }
}

void Image::zero_cluster(uint64_t cluster) {
  auto gathered = compressed_ ? compressed_->own(cluster) : std::nullopt;
  zero_entry(cluster);
  if (gathered) gathered->drop();
}

// Over a backing file always an explicit zero cluster: unallocated would show the old data again.
void Image::zero_entry(uint64_t cluster) {
  for (;;) {
    Entries entries = layer_->mapping.entries(cluster);
    if (entries && entries.is_claimed(cluster)) {
      entries.wait_unclaimed(cluster);
      continue;
    }
    Entry entry = entries.value(cluster);
    if (layer_->reads_zero_here(entry)) return;
    entries = metadata_->prepare(cluster);
    if (!entries.replace_if(cluster, entry, zero_plain)) continue;
    metadata_->changed(entries, entry);
    return;
  }
}

void Image::zero_part(uint64_t offset, uint64_t length) {
  if (layer_->reads_zero_here(layer_->mapping.entry(layer_->geometry.cluster_of(offset)))) return;
  std::vector<std::byte> zeroes(length);
  write(zeroes, offset);
}

}  // namespace qcow2
