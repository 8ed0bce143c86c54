// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/lifecycle/preallocate.hpp"

#include "plugins/qcow2/tables/claims.hpp"

namespace qcow2 {

void preallocate(const Layer &layer, ClusterAllocator &allocator, TableWriter &tables,
                 Preallocate how) {
  if (how == Preallocate::off) return;
  const Geometry &geometry = layer.geometry;
  for (uint64_t cluster = 0; cluster < geometry.clusters();) {
    Claims claims(tables.prepare(cluster), cluster);
    while (cluster + claims.count() < geometry.clusters() && claims.take_next()) {
    }
    uint64_t bytes = geometry.start_of(claims.count());
    uint64_t host = allocator.allocate(claims.count());
    // If this is interrupted no entry must point beyond the end of the file.
    if (how == Preallocate::falloc) {
      layer.file.reserve(host, bytes);
    } else {
      layer.file.set_length(host + bytes);
    }
    cluster += claims.count();
    claims.link(host, geometry.cluster_size(), tables);
  }
}

}  // namespace qcow2
