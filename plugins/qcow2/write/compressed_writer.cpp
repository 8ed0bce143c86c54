// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/write/compressed_writer.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/zero.hpp"
#include "plugins/qcow2/format/compressed_entry.hpp"

namespace qcow2 {

namespace {

constexpr size_t max_partial_bytes = 16u << 20;

}  // namespace

CompressedWriter::CompressedWriter(const Layer &layer, ClusterAllocator &allocator,
                                   TableWriter &tables, Packer &packer, Compression compression,
                                   bool detect_zeroes)
    : layer_(layer),
      allocator_(allocator),
      tables_(tables),
      packer_(packer),
      detect_zeroes_(detect_zeroes),
      compressors_(codec_pool_size(),
                   [compression, size = layer.geometry.cluster_size()] {
                     return std::make_unique<Compressor>(compression.type, compression.level, size);
                   }),
      buffers_(layer.geometry.cluster_size()),
      partial_(layer.geometry.cluster_size(), max_partial_bytes) {}

uint64_t CompressedWriter::length_of(uint64_t cluster) const {
  return layer_.geometry.end_of(cluster) - layer_.geometry.start_of(cluster);
}

bool CompressedWriter::write(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_.geometry.cluster_of(offset);
  auto partial = partial_.own(cluster);
  if (data.size() == length_of(cluster)) {
    // The partial cluster is older, and is dropped when the new data is linked.
    bool done = write_whole(data, cluster);
    if (done && partial) partial->drop();
    if (done || !partial) return done;
  } else if (!partial && is_data(layer_.map.entry(cluster))) {
    return false;
  }
  if (partial) {
    put(*partial, data, offset);
  } else {
    write_partial(data, offset);
  }
  return true;
}

// False if the cluster is stored uncompressed.
bool CompressedWriter::write_whole(std::span<const std::byte> data, uint64_t cluster) {
  for (;;) {
    Entries entries = prepare_unclaimed(cluster);
    if (is_data(entries.value(cluster))) return false;
    Claims claims(std::move(entries), cluster);
    if (!claims.take_next()) continue;
    store(data, claims, true);
    return true;
  }
}

// The entries around a cluster that is about to change, at a time when its entry was not claimed.
Entries CompressedWriter::prepare_unclaimed(uint64_t cluster) {
  Entries entries = tables_.prepare(cluster);
  entries.wait_unclaimed(cluster);
  return entries;
}

void CompressedWriter::put(PartialClusters::Owned &partial, std::span<const std::byte> data,
                           uint64_t offset) {
  uint64_t cluster = partial->cluster();
  partial->put(data, offset - layer_.geometry.start_of(cluster));
  if (partial->is_whole(length_of(cluster))) complete(partial);
}

void CompressedWriter::write_partial(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_.geometry.cluster_of(offset);
  for (;;) {
    if (auto partial = partial_.own_or_add(cluster)) return put(*partial, data, offset);
    if (auto oldest = partial_.own_oldest()) complete(*oldest);
  }
}

// If this fails the partial cluster stays as it is, and the next flush tries again.
void CompressedWriter::complete(PartialClusters::Owned &partial) {
  uint64_t cluster = partial->cluster();
  for (;;) {
    Entries entries = prepare_unclaimed(cluster);
    Entry entry = entries.value(cluster);
    if (is_data(entry)) {
      for (const auto &known : partial->known()) {
        layer_.file.write(partial->bytes().subspan(known.offset, known.length),
                          host_offset(entry) + known.offset);
      }
      break;
    }
    Claims claims(std::move(entries), cluster);
    if (!claims.take_next()) continue;
    Entry old = claims.old(cluster);
    bool whole = partial->is_whole(length_of(cluster));
    if (!whole) fill_gaps(*partial, old);
    store(partial->bytes().first(length_of(cluster)), claims, whole || !is_compressed(old));
    break;
  }
  partial.drop();
}

// The gaps are not marked as known: if the cluster cannot be stored they are filled again next
// time.
void CompressedWriter::fill_gaps(PartialCluster &partial, Entry old) {
  uint64_t start = layer_.geometry.start_of(partial.cluster());
  for (const auto &gap : partial.gaps({0, length_of(partial.cluster())})) {
    layer_.read_entry(old, partial.bytes().subspan(gap.offset, gap.length), start + gap.offset);
  }
}

void CompressedWriter::store(std::span<const std::byte> data, Claims &claims, bool compressible) {
  if (detect_zeroes_ && util::is_zero(data)) {
    if (!layer_.reads_zero_here(claims.old(claims.first()))) claims.link_entry(zero_plain, tables_);
    return;
  }
  if (compressible) {
    if (Packed packed = compress(data); packed.length > 0) {
      Entry entry = packer_.add({packed.bytes.data(), packed.length});
      claims.link_entry(entry, tables_);
      return;
    }
  }
  uint64_t host = allocator_.allocate(1);
  try {
    layer_.file.write_fresh({}, data, {}, host);
  } catch (const util::Error &) {
    allocator_.abandon(host, layer_.geometry.cluster_size());
    throw;
  }
  claims.link(host, layer_.geometry.cluster_size(), tables_);
}

// The length is 0 if the cluster does not shrink.
CompressedWriter::Packed CompressedWriter::compress(std::span<const std::byte> data) {
  size_t cluster_size = layer_.geometry.cluster_size();
  std::vector<std::byte> padded;  // the last cluster of the disk may be short
  if (data.size() < cluster_size) {
    padded.assign(data.begin(), data.end());
    padded.resize(cluster_size);
    data = padded;
  }
  auto compressor = compressors_.take();
  auto out = buffers_.take();
  size_t room = max_compressed(layer_.geometry.cluster_bits());
  size_t length = compressor->compress(data, {out.data(), room});
  return {std::move(out), length};
}

void CompressedWriter::read(std::span<std::byte> buffer, uint64_t offset) const {
  const Geometry &geometry = layer_.geometry;
  uint64_t end = offset + buffer.size();
  uint64_t at = offset;
  auto from_layer = [&](uint64_t stop) {
    if (at < stop) layer_.read(buffer.subspan(at - offset, stop - at), at);
    at = std::max(at, stop);
  };
  for (uint64_t cluster : partial_clusters({offset, buffer.size()})) {
    uint64_t start = geometry.start_of(cluster);
    std::vector<extents::Range> gaps;
    {
      auto partial = partial_.own(cluster);
      if (!partial) continue;  // linked meanwhile: the layer has it
      from_layer(std::max(start, offset));
      uint64_t stop = std::min(end, geometry.end_of(cluster));
      gaps = (*partial)->gaps({at - start, stop - at});
      auto known = (*partial)->bytes().subspan(at - start, stop - at);
      std::copy(known.begin(), known.end(),
                buffer.begin() + static_cast<std::ptrdiff_t>(at - offset));
      at = stop;
    }
    for (const auto &gap : gaps) {
      layer_.read(buffer.subspan(start + gap.offset - offset, gap.length), start + gap.offset);
    }
  }
  from_layer(end);
}

std::vector<uint64_t> CompressedWriter::partial_clusters(extents::Range range) const {
  if (range.empty() || partial_.is_empty()) return {};
  const Geometry &geometry = layer_.geometry;
  return partial_.clusters(geometry.cluster_of(range.offset),
                           geometry.cluster_of(range.end() - 1) + 1);
}

void CompressedWriter::extents(extents::Range range, const ExtentSink &sink) const {
  const Geometry &geometry = layer_.geometry;
  uint64_t at = range.offset;
  for (uint64_t cluster : partial_clusters(range)) {
    uint64_t start = std::max(at, geometry.start_of(cluster));
    if (at < start && !layer_.extents({at, start - at}, sink)) return;
    uint64_t stop = std::min(range.end(), geometry.end_of(cluster));
    if (!sink({start, stop - start, extents::data})) return;
    at = stop;
  }
  if (at < range.end()) layer_.extents({at, range.end() - at}, sink);
}

void CompressedWriter::complete_all() {
  for (uint64_t cluster : partial_.clusters(0, layer_.geometry.clusters())) {
    if (auto partial = partial_.own(cluster)) complete(*partial);
  }
}

void CompressedWriter::close() {
  complete_all();
  for (const auto &range : packer_.close()) allocator_.abandon(range.offset, range.length);
}

}  // namespace qcow2
