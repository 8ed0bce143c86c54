// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plugins/qcow2/compressed/buffers.hpp"

namespace qcow2 {

// A run of host clusters that is filled with compressed data from its start, and a copy of it in
// memory. Its owner has a lock for it.
struct Chunk {
  uint32_t cluster_bits;
  uint64_t offset;  // in the file
  size_t size;      // of the host clusters that have been reserved for it
  Buffers::Buffer bytes;
  size_t used = 0;
  size_t written = 0;       // of that, to the file
  uint64_t references = 0;  // to the host cluster in which `used` lies
  unsigned copying = 0;     // threads that fill their place
  unsigned waiting = 0;     // threads that wait for copying to be 0; meanwhile nobody begins
  bool open = true;         // has room, perhaps
  bool writing = false;

  size_t free() const { return size - used; }
  uint64_t end_of_used() const { return offset + used; }  // in the file

  // Where the next data would go: not into a host cluster that has `most_references` already.
  size_t free_from(uint64_t most_references) const {
    return references < most_references ? used : ((used >> cluster_bits) + 1) << cluster_bits;
  }

  // Gives the next bytes to the data of one compressed cluster, or a part of it.
  void use(size_t length) {
    uint64_t first = used >> cluster_bits;
    used += length;
    uint64_t last = (used - 1) >> cluster_bits;
    references = first == last ? references + 1 : 1;
    if (used >> cluster_bits != last) references = 0;  // ends with the cluster
  }

  // Leaves zeroes up to there.
  void skip_to(size_t to) {
    std::memset(bytes.data() + used, 0, to - used);
    if (used >> cluster_bits != to >> cluster_bits) references = 0;
    used = to;
  }
};

}  // namespace qcow2
