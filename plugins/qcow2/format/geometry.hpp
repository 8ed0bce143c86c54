// SPDX-License-Identifier: BSD-3-Clause
//
// What follows from the cluster size, the size of the disk and the width of the refcounts.
#pragma once

#include <cstdint>

#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

class Geometry {
 public:
  // cluster_bits: 9 to 21. size: bytes. refcount_order: 0 to 6.
  Geometry(uint32_t cluster_bits, uint64_t size, uint32_t refcount_order = 4)
      : bits_(cluster_bits), size_(size), refcount_order_(refcount_order) {}
  explicit Geometry(const Header &h) : Geometry(h.cluster_bits, h.size, h.refcount_order) {}

  uint64_t size() const { return size_; }
  uint32_t cluster_bits() const { return bits_; }
  uint64_t cluster_size() const { return uint64_t{1} << bits_; }
  uint64_t cluster_of(uint64_t offset) const { return offset >> bits_; }
  uint64_t start_of(uint64_t cluster) const { return cluster << bits_; }
  // The end of a guest cluster. The last one ends at the end of the disk.
  uint64_t end_of(uint64_t cluster) const {
    uint64_t end = (cluster + 1) << bits_;
    return end < size_ ? end : size_;
  }

  uint64_t clusters() const { return divide_up(size_, cluster_size()); }  // guest clusters
  uint64_t l2_entries() const { return cluster_size() / 8; }              // of one table
  uint64_t l1_entries() const { return divide_up(clusters(), l2_entries()); }
  uint64_t table_of(uint64_t cluster) const { return cluster >> (bits_ - 3); }  // L1 index
  uint32_t refcount_order() const { return refcount_order_; }
  uint64_t refcounts_per_block() const { return cluster_size() * 8 >> refcount_order_; }
  // The largest refcount that can be stored.
  uint64_t max_refcount() const {
    return refcount_order_ == 6 ? ~uint64_t{0} : (uint64_t{1} << (1u << refcount_order_)) - 1;
  }

  static uint64_t divide_up(uint64_t n, uint64_t unit) { return n / unit + (n % unit != 0); }
  static uint64_t round_up(uint64_t n, uint64_t unit) { return divide_up(n, unit) * unit; }

 private:
  uint32_t bits_;
  uint64_t size_;
  uint32_t refcount_order_;
};

}  // namespace qcow2
