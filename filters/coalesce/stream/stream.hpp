// SPDX-License-Identifier: BSD-3-Clause
//
// A sequence of reads, and how far it is read ahead.
#pragma once

#include <cstdint>

#include "filters/coalesce/stream/read_bandwidth.hpp"

namespace coalesce {

// The reads of one client, or of one of its threads, that follow each other. Offsets and lengths are in
// bytes.
struct Stream {
  uint64_t id = 0;
  uint64_t head = 0;            // the end of the furthest read
  uint64_t bytes_read = 0;      // by its reads
  uint64_t next_fetch = 0;      // where read-ahead continues
  uint64_t cached = 0;          // in chunks held or being fetched for it
  uint64_t request_align = 1;   // the client reads multiples of this, whatever the extents are
  uint64_t last_read = 0;       // the number of its last read, see StreamTable::now()
  uint64_t end = ~uint64_t{0};  // read-ahead stops here
  unsigned reads = 0;
  ReadBandwidth bandwidth;
  bool querying_extents = false;  // a thread is asking for the extents at next_fetch
  bool rereads = false;           // it reads what was read before
  bool pinned = false;            // see StreamTable::pin()

  // One read has followed another, so it is worth reading ahead.
  bool sequential() const { return pinned || reads >= 2; }
};

}  // namespace coalesce
