// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/compressed/buffers.hpp"
#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/compressed/codec_pool.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "plugins/qcow2/compressed/partial_clusters.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/claims.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

// The write path of an image with compress=. May be used from any thread.
//
// A cluster that is written as a whole is compressed by the thread that writes it, and packed. A
// cluster that is written in part stays in memory (PartialClusters) until it is whole, or until a
// flush, or until there are too many of them; then the rest is read from what the cluster held
// before. Stored uncompressed, and written in place from then on, are clusters that do not shrink,
// and compressed clusters that are written in part: many small writes would otherwise leave as many
// unused copies of compressed data in the file.
//
// A partial cluster is dropped only after its entry is linked, and reads look at partial clusters
// first, so everything acknowledged can be read at any time.
class CompressedWriter {
 public:
  // All but the last two must outlive this.
  CompressedWriter(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
                   Packer &packer, Compression compression, bool detect_zeroes);

  // Writes data within one cluster. Returns false, and has done nothing, if the cluster is stored
  // uncompressed: the caller has to write in place.
  bool write(std::span<const std::byte> data, uint64_t offset);

  void read(std::span<std::byte> buffer, uint64_t offset) const;
  // The extents of the layer, with partial clusters as data.
  void extents(extents::Range range, const ExtentSink &sink) const;

  // The partial cluster, if there is one. For a caller that zeroes the whole cluster, and drops it
  // afterwards.
  std::optional<PartialClusters::Owned> own(uint64_t cluster) { return partial_.own(cluster); }
  // The clusters with a partial cluster in the range of the disk.
  std::vector<uint64_t> partial_clusters(extents::Range range) const;

  // Stores and links all partial clusters.
  void complete_all();
  // Before the image is closed, when no other thread uses it: completes everything, writes it to
  // the file, and gives back host clusters that were allocated and not used.
  void close();

 private:
  struct Packed {
    Buffers::Buffer bytes;
    size_t length;
  };

  uint64_t length_of(uint64_t cluster) const;
  Entries prepare_unclaimed(uint64_t cluster);
  bool write_whole(std::span<const std::byte> data, uint64_t cluster);
  void put(PartialClusters::Owned &partial, std::span<const std::byte> data, uint64_t offset);
  void write_partial(std::span<const std::byte> data, uint64_t offset);
  void complete(PartialClusters::Owned &partial);
  void fill_gaps(PartialCluster &partial, Entry old);
  void store(std::span<const std::byte> data, Claims &claims, bool compressible);
  Packed compress(std::span<const std::byte> data);

  const Layer &layer_;
  ClusterAllocator &allocator_;
  TableWriter &tables_;
  Packer &packer_;
  const bool detect_zeroes_;
  CodecPool<Compressor> compressors_;
  Buffers buffers_;  // for compressed data
  mutable PartialClusters partial_;
};

}  // namespace qcow2
