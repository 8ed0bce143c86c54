// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/format/header.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

#include "common/util/error.hpp"
#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/format/header_extensions.hpp"

namespace qcow2 {

namespace {

void check_features(const Header &h, const std::string &path) {
  if ((h.incompatible & data_file_bit) != 0) {
    util::fail(ENOTSUP, "{} keeps its data in an external data file, which is not supported", path);
  }
  if ((h.incompatible & extended_l2_bit) != 0) {
    util::fail(ENOTSUP, "{} has extended L2 entries, which are not supported", path);
  }
  uint64_t known = dirty_bit | corrupt_bit | compression_bit;
  if ((h.incompatible & ~known) != 0) {
    util::fail(ENOTSUP, "{} needs features that are not supported (incompatible bits {:#x})", path,
               h.incompatible & ~known);
  }
  if (((h.incompatible & compression_bit) != 0) != (h.compression_type != 0)) {
    util::fail(EINVAL, "{}: compression type {} does not match the compression feature bit", path,
               h.compression_type);
  }
  if (h.compression_type > 1) {
    util::fail(ENOTSUP, "{} has compression type {}, which is not supported", path,
               h.compression_type);
  }
  if (h.crypt_method != 0) {
    util::fail(ENOTSUP, "{} is encrypted (method {}), which is not supported", path,
               h.crypt_method);
  }
}

// A table starts at a cluster boundary after the header and ends within the file.
void check_table(const char *what, uint64_t offset, uint64_t bytes, const Header &h,
                 uint64_t file_size, const std::string &path) {
  uint64_t end = Geometry::round_up(file_size, h.cluster_size());
  if (offset == 0 || offset % h.cluster_size() != 0 || offset > end || bytes > end - offset) {
    util::fail(EINVAL, "{}: the {} ({} bytes at offset {}) is not within the file of {} bytes",
               path, what, bytes, offset, file_size);
  }
}

void check_table_places(const Header &h, uint64_t file_size, const std::string &path) {
  if (h.size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    util::fail(EINVAL, "{}: virtual size {} is too large", path, h.size);
  }
  uint64_t l1_bytes = uint64_t{h.l1_entries} * 8;
  if (l1_bytes > max_l1_bytes) {
    util::fail(EINVAL, "{}: the L1 table has {} entries, at most {} are allowed", path,
               h.l1_entries, max_l1_bytes / 8);
  }
  if (h.l1_entries < Geometry(h.cluster_bits, h.size).l1_entries()) {
    util::fail(EINVAL, "{}: the L1 table of {} entries is too small for {} bytes", path,
               h.l1_entries, h.size);
  }
  if (h.l1_entries > 0) check_table("L1 table", h.l1_offset, l1_bytes, h, file_size, path);
  uint64_t table_bytes = uint64_t{h.refcount_table_clusters} << h.cluster_bits;
  if (table_bytes == 0 || table_bytes > max_refcount_table_bytes) {
    util::fail(EINVAL, "{}: the refcount table of {} clusters is empty or too large", path,
               h.refcount_table_clusters);
  }
  check_table("refcount table", h.refcount_table_offset, table_bytes, h, file_size, path);
  if (h.refcount_order > 6) {
    util::fail(EINVAL, "{}: refcount order {} is not within 0 to 6", path, h.refcount_order);
  }
}

// The fields from byte 72 on, which version 2 does not have. Returns the length of the header.
uint32_t decode_v3(std::span<const std::byte> start, Header &h, const std::string &path) {
  h.incompatible = load_be<uint64_t>(&start[72]);
  h.compatible = load_be<uint64_t>(&start[80]);
  h.autoclear = load_be<uint64_t>(&start[88]);
  h.refcount_order = load_be<uint32_t>(&start[96]);
  uint32_t header_length = load_be<uint32_t>(&start[100]);
  if (header_length < 104 || header_length % 8 != 0 || header_length > start.size()) {
    util::fail(EINVAL, "{}: a header length of {} bytes is not possible", path, header_length);
  }
  if (header_length > 104) h.compression_type = std::to_integer<uint8_t>(start[104]);
  return header_length;
}

}  // namespace

const char *name_of(CompressionType type) {
  return type == CompressionType::zlib ? "zlib" : "zstd";
}

std::vector<std::byte> encode_features(const Header &h) {
  std::vector<std::byte> out(24);
  store_be(&out[0], h.incompatible);
  store_be(&out[8], h.compatible);
  store_be(&out[16], h.autoclear);
  return out;
}

std::string uuid_of(const Header &header) {
  return header.identity ? to_text(header.identity->uuid) : std::string();
}

std::vector<std::byte> encode(const Header &h) {
  std::vector<std::byte> out(h.cluster_size());
  store_be(&out[0], Header::magic);
  store_be(&out[4], h.version);
  store_be(&out[20], h.cluster_bits);
  store_be(&out[24], h.size);
  store_be(&out[32], h.crypt_method);
  store_be(&out[36], h.l1_entries);
  store_be(&out[40], h.l1_offset);
  store_be(&out[48], h.refcount_table_offset);
  store_be(&out[56], h.refcount_table_clusters);
  auto features = encode_features(h);
  std::copy(features.begin(), features.end(), &out[Header::features_at]);
  store_be(&out[96], h.refcount_order);
  store_be(&out[100], Header::length);
  out[104] = std::byte(h.compression_type);
  append_extensions(h, out);
  return out;
}

Header decode(std::span<const std::byte> start, uint64_t file_size, const std::string &path) {
  if (start.size() < 104 || load_be<uint32_t>(&start[0]) != Header::magic) {
    util::fail(EINVAL, "{} is not a QCOW2 image", path);
  }
  Header h;
  h.version = load_be<uint32_t>(&start[4]);
  if (h.version != 2 && h.version != 3) {
    util::fail(ENOTSUP, "{}: QCOW2 version {} is not supported", path, h.version);
  }
  h.cluster_bits = load_be<uint32_t>(&start[20]);
  if (h.cluster_bits < min_cluster_bits || h.cluster_bits > max_cluster_bits) {
    util::fail(EINVAL, "{}: cluster_bits {} is not within {} to {}", path, h.cluster_bits,
               min_cluster_bits, max_cluster_bits);
  }
  start = start.first(std::min<size_t>(start.size(), h.cluster_size()));
  h.size = load_be<uint64_t>(&start[24]) & ~(sector - 1);
  h.crypt_method = load_be<uint32_t>(&start[32]);
  h.l1_entries = load_be<uint32_t>(&start[36]);
  h.l1_offset = load_be<uint64_t>(&start[40]);
  h.refcount_table_offset = load_be<uint64_t>(&start[48]);
  h.refcount_table_clusters = load_be<uint32_t>(&start[56]);
  h.snapshots = load_be<uint32_t>(&start[60]);
  uint32_t header_length = h.version == 3 ? decode_v3(start, h, path) : Header::length_v2;
  check_features(h, path);
  check_table_places(h, file_size, path);
  decode_extensions(start, header_length, h, path);
  decode_backing(start, h, path);
  return h;
}

}  // namespace qcow2
