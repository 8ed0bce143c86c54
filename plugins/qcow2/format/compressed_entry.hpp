// SPDX-License-Identifier: BSD-3-Clause
//
// "L2 table entry, Compressed Clusters Descriptor": the L2 entry of a compressed cluster.
#pragma once

#include <cstdint>

#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

// A range of the file in bytes. Compressed data starts at any byte and may cross host clusters. The
// entry gives its length in whole sectors, so the range may end with the start of other data.
struct CompressedRange {
  uint64_t offset = 0;
  uint64_t length = 0;

  uint64_t end() const { return offset + length; }
  bool operator==(const CompressedRange &) const = default;
};

// x: bits 0 to x - 1 of the entry are the offset, bits x to 61 the number of further sectors.
constexpr uint32_t descriptor_offset_bits(uint32_t cluster_bits) {
  return 62 - (cluster_bits - 8);
}

// Bytes. A cluster whose compressed data is longer has to be stored uncompressed.
constexpr uint64_t max_compressed(uint32_t cluster_bits) {
  return (uint64_t{1} << cluster_bits) - 1;
}

// length: 1 to max_compressed(); offset: below 2^x, which is 512 TiB at least.
constexpr Entry compressed_entry(uint64_t offset, uint64_t length, uint32_t cluster_bits) {
  uint64_t more_sectors = (offset + length - 1) / sector - offset / sector;
  return compressed | more_sectors << descriptor_offset_bits(cluster_bits) | offset;
}

constexpr CompressedRange compressed_range(Entry entry, uint32_t cluster_bits) {
  uint32_t x = descriptor_offset_bits(cluster_bits);
  uint64_t offset = entry & ((uint64_t{1} << x) - 1);
  uint64_t more_sectors = (entry & (compressed - 1)) >> x;
  return {offset, (more_sectors + 1) * sector - offset % sector};
}

// Calls f(host cluster) for each host cluster that the entry refers to. The refcount of a host
// cluster is the number of these references.
template <typename F>
void for_each_host_cluster(Entry entry, uint32_t cluster_bits, F &&f) {
  CompressedRange range = compressed_range(entry, cluster_bits);
  for (uint64_t c = range.offset >> cluster_bits; c <= (range.end() - 1) >> cluster_bits; ++c) f(c);
}

}  // namespace qcow2
