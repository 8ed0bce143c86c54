// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "plugins/qcow2/compressed/buffers.hpp"

namespace qcow2 {

// A run of host clusters that is filled with compressed data from its start, and a copy of it in
// memory. Protected by the lock of the packer, except for the content of `bytes`, see `copying`.
// Sizes are in bytes.
struct PackedChunk {
  uint32_t cluster_bits;
  uint64_t offset;  // in the file
  size_t size;      // of the host clusters
  Buffers::Buffer bytes;
  size_t used = 0;          // places up to here are assigned
  size_t written = 0;       // up to here it is in the file
  uint64_t references = 0;  // to the host cluster that `used` is in
  unsigned copying = 0;     // threads that copy into their place, without the lock
  unsigned waiting = 0;  // threads that wait for copying to be 0; until then no place is assigned
  bool open = true;      // may have room
  bool writing = false;  // a thread writes it to the file, without the lock

  size_t free() const { return size - used; }
  uint64_t end_of_used() const { return offset + used; }  // in the file

  // The place for the next data. It is not in a host cluster that has max_references already.
  size_t free_from(uint64_t max_references) const {
    return references < max_references ? used : ((used >> cluster_bits) + 1) << cluster_bits;
  }

  // Assigns the next bytes to the data of one compressed cluster, or to a part of that data.
  void use(size_t length) {
    uint64_t first = used >> cluster_bits;
    used += length;
    uint64_t last = (used - 1) >> cluster_bits;
    references = first == last ? references + 1 : 1;
    if (used >> cluster_bits != last) references = 0;  // at the start of the next host cluster
  }

  // Fills the bytes up to there with zeroes.
  void skip_to(size_t to) {
    std::memset(bytes.data() + used, 0, to - used);
    if (used >> cluster_bits != to >> cluster_bits) references = 0;
    used = to;
  }
};

}  // namespace qcow2
