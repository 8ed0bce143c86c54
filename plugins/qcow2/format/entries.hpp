// SPDX-License-Identifier: BSD-3-Clause
//
// The entries of the L1 and L2 tables ("L1 table entry", "L2 table entry, Standard Cluster
// Descriptor"). compressed_entry.hpp has the L2 entries of compressed clusters.
#pragma once

#include <cstdint>

namespace qcow2 {

using Entry = uint64_t;
inline constexpr Entry unallocated = 0;          // reads as the backing file, or as zeroes
inline constexpr Entry zero_plain = 1;           // reads as zeroes, has no host cluster
inline constexpr Entry copied = Entry{1} << 63;  // COPIED: the refcount is exactly 1
inline constexpr Entry compressed = Entry{1} << 62;
inline constexpr Entry offset_mask = 0x00ff'ffff'ffff'fe00;

// The bits that must be zero.
inline constexpr Entry l1_reserved = ~(copied | offset_mask);
inline constexpr Entry l2_reserved = ~(copied | compressed | offset_mask | zero_plain);

constexpr Entry data_entry(uint64_t host_offset) {
  return host_offset | copied;
}
constexpr bool is_compressed(Entry e) {
  return (e & compressed) != 0;
}
// The offset in the file of the host cluster that this entry alone refers to. 0 if there is none:
// the host clusters of compressed data are shared.
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

}  // namespace qcow2
