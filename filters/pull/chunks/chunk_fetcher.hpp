// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "common/extents/range_lock.hpp"
#include "filters/pull/chunks/memory.hpp"
#include "filters/pull/chunks/presence.hpp"
#include "filters/pull/counters.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/source/remote_disk.hpp"

namespace pull {

// Brings ranges from the source to the local disk. May be used from any thread.
//
// A client's change holds its range in `changes` until it is marked as written, and a fetch holds its own
// while it writes what is still missing then. So what a client has written is never overwritten, also if the
// source was read before.
class ChunkFetcher {
 public:
  // All of them must outlive it. `local` is not a client's connection.
  ChunkFetcher(Presence &presence, extents::RangeLock &changes, LocalDisk &local,
               RemoteDisk &remote, Memory &memory, Counters &counters)
      : presence_(presence),
        changes_(changes),
        local_(local),
        remote_(remote),
        memory_(memory),
        counters_(counters) {}

  // What is missing in the range is here after it. If somebody else fetches some of it, waits until that has ended,
  // and returns false: there may be something missing still. Throws what the disks throw.
  bool fetch(extents::Range range, Waiting waiting);
  // The same where the source is known to have zeroes: it is not read.
  bool fetch_zeroes(extents::Range range);
  // Of the source: see RemoteDisk.
  bool is_given_up() const { return remote_.is_given_up(); }
  void add_connections() { remote_.add_connections(); }
  void connect_again() { remote_.connect_again(); }

 private:
  class Claim;
  void store(extents::Range range, std::span<const std::byte> bytes);
  void store_zeroes(extents::Range range);

  Presence &presence_;
  extents::RangeLock &changes_;
  LocalDisk &local_;
  RemoteDisk &remote_;
  Memory &memory_;
  Counters &counters_;
};

}  // namespace pull
