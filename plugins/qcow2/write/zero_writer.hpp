// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "common/extents/extent.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"
#include "plugins/qcow2/write/compressed_writer.hpp"

namespace qcow2 {

// Zeroes clusters by their entries: no data is stored. May be used from any thread. Throws util::Error.
class ZeroWriter {
 public:
  // compressed: null without compress=. All must outlive this.
  ZeroWriter(Layer &layer, TableWriter &tables, CompressedWriter *compressed)
      : layer_(layer), tables_(tables), compressed_(compressed) {}

  // A whole guest cluster.
  void zero(uint64_t cluster);

  // A part of one cluster, if all of the cluster reads as zeroes then. Returns whether it has.
  bool zero_without_data(extents::Range range);

 private:
  void zero_entry(uint64_t cluster);

  Layer &layer_;
  TableWriter &tables_;
  CompressedWriter *const compressed_;
};

}  // namespace qcow2
