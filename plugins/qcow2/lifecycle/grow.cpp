// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/grow.hpp"

#include <cstddef>
#include <span>
#include <vector>

#include "plugins/qcow2/format/big_endian.hpp"
#include "plugins/qcow2/format/geometry.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"

namespace qcow2 {

namespace {

void mark_dirty(const ImageFile &file, Header &header) {
  header.incompatible |= dirty_bit;
  header.autoclear = 0;
  file.write(encode_features(header), Header::features_at);
  file.sync();
}

uint64_t table_clusters(const Header &header, uint64_t entries) {
  return Geometry::divide_up(entries * 8, header.cluster_size());
}

// The new entries are zero: they have no table.
void extend_l1(const ImageFile &file, Header &header, uint64_t entries) {
  const uint64_t old_bytes = uint64_t{header.l1_entries} * 8;
  const uint64_t clusters = table_clusters(header, entries);
  std::vector<std::byte> table(clusters << header.cluster_bits);
  if (clusters == table_clusters(header, header.l1_entries)) {
    file.write(std::span(table).subspan(old_bytes), header.l1_offset + old_bytes);
  } else {
    if (old_bytes > 0) file.read(std::span(table).first(old_bytes), header.l1_offset);
    header.l1_offset = Geometry::round_up(file.size(), header.cluster_size());
    file.reserve(header.l1_offset, table.size());
    file.write(table, header.l1_offset);
  }
  file.sync();
}

}  // namespace

void grow(const ImageFile &file, Header &header, uint64_t size) {
  check_size(header.cluster_bits, size);
  const uint64_t entries = Geometry(header.cluster_bits, size).l1_entries();
  mark_dirty(file, header);
  if (entries > header.l1_entries) {
    extend_l1(file, header, entries);
    header.l1_entries = static_cast<uint32_t>(entries);
  }
  header.size = size;
  // size, crypt_method, l1_entries, l1_offset ("Header", bytes 24 to 47): within one sector.
  std::vector<std::byte> fields(24);
  store_be(&fields[0], header.size);
  store_be(&fields[8], header.crypt_method);
  store_be(&fields[12], header.l1_entries);
  store_be(&fields[16], header.l1_offset);
  file.write(fields, Header::size_at);
  file.sync();
}

}  // namespace qcow2
