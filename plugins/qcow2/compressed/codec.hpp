// SPDX-License-Identifier: BSD-3-Clause
//
// Compresses and decompresses one cluster at a time, by libdeflate and libzstd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

struct libdeflate_compressor;
struct libdeflate_decompressor;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace qcow2 {

// As in the header of the image ("compression_type"). zlib: a raw deflate stream. zstd: frames.
enum class CompressionType : uint8_t { zlib = 0, zstd = 1 };

const char *name_of(CompressionType type);
int min_level(CompressionType type);
int max_level(CompressionType type);
int default_level(CompressionType type);

// What compress= asks for.
struct Compression {
  CompressionType type = CompressionType::zstd;
  int level = 0;
};

// For one thread at a time; its memory is used again from cluster to cluster.
class Compressor {
 public:
  // level: min_level() to max_level(). cluster_size in bytes. Throws util::Error ENOMEM.
  Compressor(CompressionType type, int level, size_t cluster_size);
  ~Compressor();
  Compressor(const Compressor &) = delete;
  Compressor &operator=(const Compressor &) = delete;

  // Compresses into `out`; returns the number of bytes, 0 if there are more than fit.
  size_t compress(std::span<const std::byte> cluster, std::span<std::byte> out);

 private:
  struct Free {
    void operator()(libdeflate_compressor *c) const;
    void operator()(ZSTD_CCtx_s *c) const;
  };
  std::unique_ptr<libdeflate_compressor, Free> deflate_;
  std::unique_ptr<ZSTD_CCtx_s, Free> zstd_;
};

// For one thread at a time.
class Decompressor {
 public:
  // Throws util::Error ENOMEM.
  explicit Decompressor(CompressionType type);
  ~Decompressor();
  Decompressor(const Decompressor &) = delete;
  Decompressor &operator=(const Decompressor &) = delete;

  // Fills `cluster` with what the bytes at the start of `data` say; what follows them is ignored.
  // Returns nothing if that went well, else the reason: the data is damaged, or is that of a shorter
  // or longer cluster. Takes no memory, whatever the data says.
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
