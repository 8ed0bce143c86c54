// SPDX-License-Identifier: BSD-3-Clause
//
// Reads the compressed clusters of one file.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/compressed/codec_pool.hpp"

namespace qcow2 {

// May be used from any thread. Clusters that are read in parts are kept for a while, decompressed,
// so that many small reads in a row decompress each once; also if they come at the same time. The
// bytes of the file that an entry refers to must not change while they can be read.
class Unpacker {
 public:
  // What of a range the file has; beyond its end zeroes.
  using ReadFile = std::function<void(std::span<std::byte> buffer, uint64_t offset)>;
  // The same for what is not in the file yet; false if all of it is.
  using ReadPending = std::function<bool(std::span<std::byte> buffer, uint64_t offset)>;

  // path is for messages.
  Unpacker(CompressionType type, uint32_t cluster_bits, std::string path, ReadFile read_file);

  // Before the first read.
  void set_pending(ReadPending read_pending) { read_pending_ = std::move(read_pending); }

  // Bytes `from` up to from + buffer.size() of the cluster, not beyond its end. Throws util::Error
  // EIO if it cannot be decompressed.
  void read(Entry entry, uint64_t from, std::span<std::byte> buffer);

  // Forgets what it keeps: the file is going to be used anew.
  void forget();

  uint64_t decompressed() const { return decompressed_.load(); }  // clusters so far

 private:
  struct Kept {
    Entry entry;
    uint64_t last_use;
    std::shared_ptr<const std::vector<std::byte>> bytes;  // none while a thread decompresses it
  };

  void unpack(Entry entry, std::span<std::byte> cluster);
  std::shared_ptr<const std::vector<std::byte>> whole(Entry entry);
  std::vector<Kept>::iterator find(Entry entry);
  bool make_room();

  const uint32_t cluster_bits_;
  const size_t most_kept_;
  const std::string path_;
  const ReadFile read_file_;
  ReadPending read_pending_;
  Pool<Decompressor> pool_;
  std::mutex mutex_;  // protects what follows; not held while anything is decompressed
  std::condition_variable ready_;
  std::vector<Kept> kept_;
  uint64_t clock_ = 0;
  std::atomic<uint64_t> decompressed_ = 0;
};

}  // namespace qcow2
