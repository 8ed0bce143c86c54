// SPDX-License-Identifier: BSD-3-Clause
//
// Compresses and decompresses single clusters with libdeflate and libzstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "plugins/qcow2/format/header.hpp"

struct libdeflate_compressor;
struct libdeflate_decompressor;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace qcow2 {

// Of the libraries that are loaded or, where they do not tell, that this was built with.
const char *libdeflate_version();
const char *libzstd_version();

int min_level(CompressionType type);
int max_level(CompressionType type);
int default_level(CompressionType type);

// How new clusters are compressed.
struct Compression {
  CompressionType type = CompressionType::zstd;
  int level = 0;
};

// Used by one thread at a time. Its memory is kept from cluster to cluster.
class Compressor {
 public:
  // level: min_level() to max_level(). cluster_size: bytes. Throws util::Error ENOMEM.
  Compressor(CompressionType type, int level, size_t cluster_size);
  ~Compressor();
  Compressor(const Compressor &) = delete;
  Compressor &operator=(const Compressor &) = delete;

  // Compresses into `out`. Returns the number of bytes, or 0 if they do not fit.
  size_t compress(std::span<const std::byte> cluster, std::span<std::byte> out);

 private:
  struct Free {
    void operator()(libdeflate_compressor *c) const;
    void operator()(ZSTD_CCtx_s *c) const;
  };
  std::unique_ptr<libdeflate_compressor, Free> deflate_;
  std::unique_ptr<ZSTD_CCtx_s, Free> zstd_;
};

// Used by one thread at a time.
class Decompressor {
 public:
  // Throws util::Error ENOMEM.
  explicit Decompressor(CompressionType type);
  ~Decompressor();
  Decompressor(const Decompressor &) = delete;
  Decompressor &operator=(const Decompressor &) = delete;

  // Fills `cluster` with the compressed data at the start of `data`. The rest of `data` is ignored.
  // Returns null, or the reason for the failure: the data is damaged, or that of a shorter or
  // longer cluster. Allocates no memory, whatever the data says.
  const char *decompress(std::span<const std::byte> data, std::span<std::byte> cluster);

 private:
  const char *inflate(std::span<const std::byte> data, std::span<std::byte> cluster);
  const char *decode_frames(std::span<const std::byte> data, std::span<std::byte> cluster);

  struct Free {
    void operator()(libdeflate_decompressor *d) const;
    void operator()(ZSTD_DCtx_s *d) const;
  };
  std::unique_ptr<libdeflate_decompressor, Free> deflate_;
  std::unique_ptr<ZSTD_DCtx_s, Free> zstd_;
};

}  // namespace qcow2
