// SPDX-License-Identifier: BSD-3-Clause
//
// Writes clusters compressed: what compress= adds to the data path of an image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/compressed/buffers.hpp"
#include "plugins/qcow2/tables/claims.hpp"
#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/compressed/partial_clusters.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "plugins/qcow2/compressed/codec_pool.hpp"

namespace qcow2 {

// May be used from any thread. A cluster that is written as a whole is compressed by the thread that
// writes it, and packed. One that is written in part is gathered in memory, until it is whole, or
// until a flush or the want of room; what is missing then is what the cluster read before. Stored as
// they are, and then written in place: clusters that do not shrink, and compressed ones that are
// written over in part, for many small writes would leave as many compressed ones behind.
//
// The order that keeps everything acknowledged readable: an entry is linked before its gathered part
// is dropped, and whoever reads asks for gathered parts first. A part that another thread owns is
// waited for.
class CompressedWriter {
 public:
  // layer and metadata must outlive this.
  CompressedWriter(Layer &layer, Metadata &metadata, Compression compression, bool detect_zeroes);

  // Writes data that lies within one cluster. Returns false if the cluster is stored as it is: the
  // caller has to write it in place.
  bool write(std::span<const std::byte> data, uint64_t offset);

  void read(std::span<std::byte> buffer, uint64_t offset) const;
  // As of the layer, with what is gathered as data.
  void extents(extents::Range range, const ExtentSink &sink) const;

  // The gathered part of the cluster, for whoever is going to zero all of it: dropped when that is
  // done.
  std::optional<Gather::Owned> own(uint64_t cluster) { return gather_.own(cluster); }
  // The clusters of a range of the disk that have gathered parts.
  std::vector<uint64_t> gathered(extents::Range range) const;

  // Links everything that has been gathered.
  void complete_all();
  // Hands what is packed to the file. To be called after entries have been copied to be written, and
  // before the sync that has to come before that.
  void write_out() { packer_.write_out(); }
  // Before the image is closed, when no other thread uses it: complete_all() and write_out(), and
  // what was reserved and not used is given back. Returns the offset in the file behind all packed
  // data, 0 if there is none.
  uint64_t close();

 private:
  struct Packed {
    Buffers::Buffer bytes;
    size_t length;
  };

  uint64_t length_of(uint64_t cluster) const;
  Entries unclaimed(uint64_t cluster);
  bool write_whole(std::span<const std::byte> data, uint64_t cluster);
  void gather(std::span<const std::byte> data, uint64_t offset);
  void complete(Gather::Owned &part);
  void fill_gaps(Part &part, Entry old);
  void store(std::span<const std::byte> data, Claims &claims, bool compressible);
  Packed compress(std::span<const std::byte> data);

  Layer &layer_;
  Metadata &metadata_;
  const bool detect_zeroes_;
  Pool<Compressor> pool_;
  Buffers buffers_;  // for compressed data
  mutable Gather gather_;
  Packer packer_;
};

}  // namespace qcow2
