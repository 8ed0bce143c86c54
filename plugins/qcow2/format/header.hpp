// SPDX-License-Identifier: BSD-3-Clause
//
// The QCOW2 image format, version 3 (and 2, to read), as QEMU's docs/interop/qcow2 describes it:
// the header, its extensions, and the entries of the L1 and L2 tables. Integers are big endian on
// disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace qcow2 {

// What QEMU accepts; what is beyond is refused before anything is allocated for it.
inline constexpr uint32_t min_cluster_bits = 9;
inline constexpr uint32_t max_cluster_bits = 21;
inline constexpr uint64_t max_l1_bytes = 32u << 20;
inline constexpr uint64_t max_refcount_table_bytes = 8u << 20;
inline constexpr uint32_t max_backing_name = 1023;
inline constexpr uint64_t sector = 512;  // a virtual size is a multiple of it

// "Header": incompatible_features (72-79) and autoclear_features (88-95).
inline constexpr uint64_t dirty_bit = 1u << 0;
inline constexpr uint64_t corrupt_bit = 1u << 1;
inline constexpr uint64_t data_file_bit = 1u << 2;
inline constexpr uint64_t compression_bit = 1u << 3;
inline constexpr uint64_t extended_l2_bit = 1u << 4;

// "Header": the first cluster of the file. Offsets and sizes in bytes unless said.
struct Header {
  static constexpr uint32_t magic = 0x514649fb;
  static constexpr uint32_t length_v2 = 72;
  static constexpr uint32_t length = 112;  // what we write, with the compression type

  // Where single fields lie that are changed in place.
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
  uint32_t refcount_order = 4;  // 1 << order bits a refcount
  uint8_t compression_type = 0;

  // "Header extensions" and the backing file name, which all lie in the first cluster.
  std::string backing_file;
  std::string backing_format;
  bool has_bitmaps = false;

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
};

// The first cluster of a new image. Throws util::Error ENAMETOOLONG if the backing name has no
// room.
std::vector<std::byte> encode(const Header &header);

// Decodes the start of a file (the first cluster, or all there is of it) and checks everything that
// can be checked against QEMU's limits and the size of the file. `path` is for messages. Throws
// util::Error EINVAL for what is damaged and ENOTSUP for what is not supported.
Header decode(std::span<const std::byte> start, uint64_t file_size, const std::string &path);

// The three feature words, as they lie at Header::features_at.
std::vector<std::byte> encode_features(const Header &header);

// "L1 table entry" and "L2 table entry, Standard Cluster Descriptor".
using Entry = uint64_t;
inline constexpr Entry unallocated = 0;          // reads what the backing file has, or zeroes
inline constexpr Entry zero_plain = 1;           // reads zeroes, has no host cluster
inline constexpr Entry copied = Entry{1} << 63;  // the refcount is exactly 1, and not compressed
inline constexpr Entry compressed = Entry{1} << 62;
inline constexpr Entry offset_mask = 0x00ff'ffff'ffff'fe00;

constexpr Entry data_entry(uint64_t host_offset) {
  return host_offset | copied;
}
constexpr bool is_compressed(Entry e) {
  return (e & compressed) != 0;
}
// Of a host cluster that belongs to the entry alone; 0 if it has none (see descriptor.hpp for the
// data of compressed clusters).
constexpr uint64_t host_offset(Entry e) {
  return is_compressed(e) ? 0 : e & offset_mask;
}
constexpr bool reads_zero(Entry e) {
  return !is_compressed(e) && (e & zero_plain) != 0;
}
constexpr bool is_data(Entry e) {
  return host_offset(e) != 0 && !reads_zero(e);
}
constexpr bool is_unallocated(Entry e) {
  return host_offset(e) == 0 && !reads_zero(e) && !is_compressed(e);
}

// What of a table entry must be zero.
inline constexpr Entry l1_reserved = ~(copied | offset_mask);
inline constexpr Entry l2_reserved = ~(copied | compressed | offset_mask | zero_plain);
inline constexpr Entry refcount_table_reserved = 0x1ff;

}  // namespace qcow2
