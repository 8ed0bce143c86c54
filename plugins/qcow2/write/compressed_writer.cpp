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

constexpr size_t gathered_bytes = 16u << 20;

}  // namespace

CompressedWriter::CompressedWriter(Layer &layer, Metadata &metadata, Compression compression,
                                   bool detect_zeroes)
    : layer_(layer),
      metadata_(metadata),
      detect_zeroes_(detect_zeroes),
      pool_(pool_size(),
            [compression, size = layer.geometry.cluster_size()] {
              return std::make_unique<Compressor>(compression.type, compression.level, size);
            }),
      buffers_(layer.geometry.cluster_size()),
      gather_(layer.geometry.cluster_size(), gathered_bytes),
      packer_(layer.geometry.cluster_bits(), layer.geometry.max_refcount(),
              {[this](uint64_t clusters) { return metadata_.allocate_reserved(clusters); },
               [this](std::span<const std::byte> data, uint64_t offset) {
                 layer_.file.write(data, offset);
               },
               [this](std::span<std::byte> buffer, uint64_t offset) {
                 layer_.file.read_or_zero(buffer, offset);
               }}) {
  layer_.unpacker.set_pending([this](std::span<std::byte> buffer, uint64_t offset) {
    return packer_.read(buffer, offset);
  });
}

uint64_t CompressedWriter::length_of(uint64_t cluster) const {
  return layer_.geometry.end_of(cluster) - layer_.geometry.start_of(cluster);
}

bool CompressedWriter::write(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_.geometry.cluster_of(offset);
  auto part = gather_.own(cluster);
  if (data.size() == length_of(cluster)) {
    // What was gathered is older, and goes when the new is linked.
    bool done = write_whole(data, cluster);
    if (done && part) part->drop();
    if (done || !part) return done;
  } else if (!part && is_data(layer_.mapping.entry(cluster))) {
    return false;
  }
  if (part) {
    (*part)->put(data, offset - layer_.geometry.start_of(cluster));
    if ((*part)->is_whole(length_of(cluster))) complete(*part);
    return true;
  }
  gather(data, offset);
  return true;
}

// False if the cluster is stored as it is.
bool CompressedWriter::write_whole(std::span<const std::byte> data, uint64_t cluster) {
  for (;;) {
    Entries entries = unclaimed(cluster);
    if (is_data(entries.value(cluster))) return false;
    Claims claims(std::move(entries), cluster);
    if (!claims.take_next()) continue;
    store(data, claims, true);
    return true;
  }
}

// The entries around a cluster that is going to change, when no other thread had a claim on it.
Entries CompressedWriter::unclaimed(uint64_t cluster) {
  Entries entries = metadata_.prepare(cluster);
  entries.wait_unclaimed(cluster);
  return entries;
}

void CompressedWriter::gather(std::span<const std::byte> data, uint64_t offset) {
  uint64_t cluster = layer_.geometry.cluster_of(offset);
  for (;;) {
    if (auto part = gather_.own_or_add(cluster)) {
      (*part)->put(data, offset - layer_.geometry.start_of(cluster));
      if ((*part)->is_whole(length_of(cluster))) complete(*part);
      return;
    }
    if (auto oldest = gather_.own_oldest()) complete(*oldest);
  }
}

// If it fails the part stays as it is, and the next flush tries again.
void CompressedWriter::complete(Gather::Owned &part) {
  uint64_t cluster = part->cluster();
  for (;;) {
    Entries entries = unclaimed(cluster);
    Entry entry = entries.value(cluster);
    if (is_data(entry)) {
      for (const auto &known : part->known()) {
        layer_.file.write(part->bytes().subspan(known.offset, known.length),
                          host_offset(entry) + known.offset);
      }
      break;
    }
    Claims claims(std::move(entries), cluster);
    if (!claims.take_next()) continue;
    Entry old = claims.old(cluster);
    bool whole = part->is_whole(length_of(cluster));
    if (!whole) fill_gaps(*part.operator->(), old);
    store(part->bytes().first(length_of(cluster)), claims, whole || !is_compressed(old));
    break;
  }
  part.drop();
}

// Nothing is said to be known that no client wrote: if this is for nothing in the end, it is done
// anew.
void CompressedWriter::fill_gaps(Part &part, Entry old) {
  uint64_t start = layer_.geometry.start_of(part.cluster());
  for (const auto &gap : part.gaps({0, length_of(part.cluster())})) {
    layer_.read_entry(old, part.bytes().subspan(gap.offset, gap.length), start + gap.offset);
  }
}

void CompressedWriter::store(std::span<const std::byte> data, Claims &claims, bool compressible) {
  if (detect_zeroes_ && util::is_zero(data)) {
    if (!layer_.reads_zero_here(claims.old(claims.first())))
      claims.link_entry(zero_plain, metadata_);
    return;
  }
  if (compressible) {
    if (Packed packed = compress(data); packed.length > 0) {
      Entry entry = packer_.add({packed.bytes.data(), packed.length});
      claims.link_entry(entry, metadata_);
      return;
    }
  }
  uint64_t host = metadata_.allocate(1);
  try {
    layer_.file.write_fresh({}, data, {}, host);
  } catch (const util::Error &) {
    metadata_.abandon(host, layer_.geometry.cluster_size());
    throw;
  }
  claims.link(host, layer_.geometry.cluster_size(), metadata_);
}

// Of length 0 if it does not get shorter.
CompressedWriter::Packed CompressedWriter::compress(std::span<const std::byte> data) {
  size_t cluster_size = layer_.geometry.cluster_size();
  std::vector<std::byte> padded;  // the last cluster of the disk
  if (data.size() < cluster_size) {
    padded.assign(data.begin(), data.end());
    padded.resize(cluster_size);
    data = padded;
  }
  auto compressor = pool_.take();
  size_t room = max_compressed(layer_.geometry.cluster_bits());
  auto out = buffers_.take();
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
  for (uint64_t cluster : gathered({offset, buffer.size()})) {
    uint64_t start = geometry.start_of(cluster);
    std::vector<extents::Range> gaps;
    {
      auto part = gather_.own(cluster);
      if (!part) continue;  // linked meanwhile: the layer has it
      from_layer(std::max(start, offset));
      uint64_t stop = std::min(end, geometry.end_of(cluster));
      gaps = (*part)->gaps({at - start, stop - at});
      auto known = (*part)->bytes().subspan(at - start, stop - at);
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

std::vector<uint64_t> CompressedWriter::gathered(extents::Range range) const {
  if (range.empty() || gather_.is_empty()) return {};
  const Geometry &geometry = layer_.geometry;
  return gather_.clusters(geometry.cluster_of(range.offset),
                          geometry.cluster_of(range.end() - 1) + 1);
}

void CompressedWriter::extents(extents::Range range, const ExtentSink &sink) const {
  const Geometry &geometry = layer_.geometry;
  uint64_t at = range.offset;
  for (uint64_t cluster : gathered(range)) {
    uint64_t start = std::max(at, geometry.start_of(cluster));
    if (at < start && !layer_.extents({at, start - at}, sink)) return;
    uint64_t stop = std::min(range.end(), geometry.end_of(cluster));
    if (!sink({start, stop - start, extents::data})) return;
    at = stop;
  }
  if (at < range.end()) layer_.extents({at, range.end() - at}, sink);
}

void CompressedWriter::complete_all() {
  for (uint64_t cluster : gather_.clusters(0, layer_.geometry.clusters())) {
    if (auto part = gather_.own(cluster)) complete(*part);
  }
}

uint64_t CompressedWriter::close() {
  complete_all();
  Packer::Rest rest = packer_.close();
  for (const auto &range : rest.unused) metadata_.abandon(range.offset, range.length);
  return rest.end;
}

}  // namespace qcow2
