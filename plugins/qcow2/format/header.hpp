// SPDX-License-Identifier: BSD-3-Clause
//
// The header of a QCOW2 image and its extensions, version 3 (version 2 is only read), as specified
// in QEMU's docs/interop/qcow2. Integers are big endian on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plugins/qcow2/format/identity.hpp"

namespace qcow2 {

// The limits of QEMU. A header beyond them is refused before memory is allocated for its tables.
inline constexpr uint32_t min_cluster_bits = 9;
inline constexpr uint32_t max_cluster_bits = 21;
inline constexpr uint64_t max_l1_bytes = 32u << 20;
inline constexpr uint64_t max_refcount_table_bytes = 8u << 20;
inline constexpr uint32_t max_backing_name = 1023;
inline constexpr uint64_t sector = 512;  // bytes; the virtual size is a multiple of it

// The limits of this plugin. A file is not made longer than the first, 64 TiB with clusters of 64 KiB,
// but for refcounts that are written when the image is closed or rebuilt. A longer one than the
// second is not opened: a bit for each cluster would take more than 144 MiB of memory.
inline constexpr uint64_t max_file_clusters = uint64_t{1} << 30;
inline constexpr uint64_t max_opened_clusters = max_file_clusters + max_file_clusters / 8;

// "Header": incompatible_features (72-79) and autoclear_features (88-95).
inline constexpr uint64_t dirty_bit = 1u << 0;
inline constexpr uint64_t corrupt_bit = 1u << 1;
inline constexpr uint64_t data_file_bit = 1u << 2;
inline constexpr uint64_t compression_bit = 1u << 3;
inline constexpr uint64_t extended_l2_bit = 1u << 4;

// "Header", byte 104, compression_type. zlib: a raw deflate stream. zstd: one or more frames.
enum class CompressionType : uint8_t { zlib = 0, zstd = 1 };
const char *name_of(CompressionType type);

// The place of the refcount table in the file.
struct RefcountTable {
  uint64_t offset;    // bytes
  uint32_t clusters;  // length
  bool operator==(const RefcountTable &) const = default;
};

// "Header": the first cluster of the file. Offsets and sizes are in bytes.
struct Header {
  static constexpr uint32_t magic = 0x514649fb;
  static constexpr uint32_t length_v2 = 72;
  static constexpr uint32_t length = 112;  // of a new image: includes the compression type

  // The offsets of the fields that are changed in place.
  static constexpr uint64_t size_at = 24;  // size (8), crypt_method (4), L1 entries (4), offset (8)
  static constexpr uint64_t refcount_table_at = 48;  // offset (8), clusters (4)
  static constexpr uint64_t features_at = 72;        // incompatible, compatible, autoclear (8 each)

  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint64_t size = 0;  // of the virtual disk
  uint32_t crypt_method = 0;
  uint32_t l1_entries = 0;
  uint64_t l1_offset = 0;
  uint64_t refcount_table_offset = 0;
  uint32_t refcount_table_clusters = 0;
  uint32_t snapshots = 0;
  uint64_t incompatible = 0;
  uint64_t compatible = 0;
  uint64_t autoclear = 0;
  uint32_t refcount_order = 4;  // a refcount has 1 << order bits
  uint8_t compression_type = 0;

  // The header extensions and the backing file name, which lie in the first cluster as well.
  std::string backing_file;
  std::string backing_format;
  bool has_bitmaps = false;
  std::optional<Identity> identity;
  uint64_t identity_at = 0;  // where its data is in the file, and how long; set by decode()
  uint32_t identity_length = 0;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  RefcountTable refcount_table() const { return {refcount_table_offset, refcount_table_clusters}; }
};

// The image's UUID as text; empty if it has none.
std::string uuid_of(const Header &header);

// The first cluster of a new image. The label is cut to what fits. Throws util::Error ENAMETOOLONG if
// the backing file name does not fit.
std::vector<std::byte> encode(const Header &header);

// Decodes the first cluster of a file (or the whole file if it is shorter) and checks every field
// against QEMU's limits and the size of the file. `path` is for messages. Throws util::Error:
// EINVAL if the header is damaged, ENOTSUP if the image needs a feature that is not supported. An image that is
// marked corrupt is none of these: it may be read.
Header decode(std::span<const std::byte> start, uint64_t file_size, const std::string &path);

// The three feature words, as stored at Header::features_at.
std::vector<std::byte> encode_features(const Header &header);

}  // namespace qcow2
