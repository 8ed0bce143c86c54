// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/util/zero.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/claims.hpp"
#include "plugins/qcow2/tables/cluster_allocator.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

// Writes clusters that are stored uncompressed. May be used from any thread. Holds no lock while
// data is written.
//
// A cluster with data is written in place. A run of other clusters gets fresh host clusters in a
// row, which are linked when the data has been written. While a thread fills a cluster it holds a
// claim on the L2 entry. A thread that writes another part of the cluster waits for that, and then
// writes in place.
class PlainWriter {
 public:
  // All but the last must outlive this.
  PlainWriter(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
              bool detect_zeroes)
      : layer_(layer), allocator_(allocator), tables_(tables), detect_zeroes_(detect_zeroes) {}

  // Writes as much of the data as can be written in one way, up to a cluster that is to become a
  // zero cluster. Returns the number of bytes: 0 after waiting for another thread. Throws
  // util::Error.
  uint64_t write(std::span<const std::byte> data, uint64_t offset);

  // Whether the data is zeroes that need not be stored as data.
  bool is_zero(std::span<const std::byte> data) const {
    return detect_zeroes_ && util::is_zero(data);
  }
  // Whether the data has the whole guest cluster and that is to become a zero cluster.
  bool is_zero_cluster(std::span<const std::byte> data, uint64_t offset, uint64_t cluster) const;

 private:
  uint64_t write_in_place(std::span<const std::byte> data, uint64_t offset, Entry first,
                          Entries &entries);
  uint64_t write_fresh(std::span<const std::byte> data, uint64_t offset);
  void link_fresh(std::span<const std::byte> data, uint64_t offset, Claims &claims);
  std::vector<std::byte> fill(Entry entry, uint64_t from, uint64_t to) const;

  const Layer &layer_;
  ClusterAllocator &allocator_;
  TableWriter &tables_;
  const bool detect_zeroes_;
};

}  // namespace qcow2
