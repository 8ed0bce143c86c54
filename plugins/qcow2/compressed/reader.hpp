// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/util/mutex.hpp"
#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/compressed/codec_pool.hpp"
#include "plugins/qcow2/compressed/packer.hpp"
#include "plugins/qcow2/file/image_file.hpp"
#include "plugins/qcow2/format/entries.hpp"

namespace qcow2 {

// Reads the compressed clusters of one file. Clusters that are read in part are kept decompressed
// for a while, so that many small reads in a row, or at the same time, decompress a cluster once.
// The bytes of the file that an entry refers to must not change while it can be read. May be used
// from any thread.
class CompressedReader {
 public:
  // packer: has the data that is not in the file yet; may be null. file and packer must outlive
  // this.
  CompressedReader(CompressionType type, uint32_t cluster_bits, const ImageFile &file,
                   const Packer *packer);

  // The bytes of the cluster from `from` on, not beyond its end. Throws util::Error EIO if the data
  // is damaged.
  void read(Entry entry, uint64_t from, std::span<std::byte> buffer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets the clusters that are kept. Due before free host clusters are allocated again.
  void forget() ABSL_LOCKS_EXCLUDED(mutex_);

  uint64_t decompressed() const { return decompressed_.load(); }  // clusters so far

 private:
  using Bytes = std::vector<std::byte>;
  struct Kept {
    Entry entry;
    uint64_t last_use;
    std::shared_ptr<const Bytes> bytes;  // null while a thread decompresses it
  };

  void decompress(Entry entry, std::span<std::byte> cluster);
  std::shared_ptr<const Bytes> whole(Entry entry) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<Kept>::iterator find(Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool make_room() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint32_t cluster_bits_;
  const size_t max_kept_;
  const ImageFile &file_;
  const Packer *const packer_;
  CodecPool<Decompressor> decompressors_;
  util::Mutex mutex_;  // not held while a cluster is read or decompressed
  util::Condition ready_;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);
  uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> decompressed_ = 0;
};

}  // namespace qcow2
