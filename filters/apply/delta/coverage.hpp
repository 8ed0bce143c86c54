// SPDX-License-Identifier: BSD-3-Clause
//
// What of the delta has arrived at the destination.
//
// A byte is missing, pending (the layer below has answered, but no flush has covered it) or settled
// (a flush that was issued after the answer has returned). Only what is settled may be taken off
// what is owed. Doubt always means missing: too much owed costs time, too little costs bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <vector>

#include "common/extents/extent.hpp"
#include "filters/apply/delta/delta_set.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// May be used from any thread.
class Coverage {
  struct Operation {
    extents::Range range;
    bool settles;
    bool spoiled;
  };

 public:
  // Opaque to the caller. A stream is what one flush covers: a connection, or all connections where
  // the layer below can multi-conn.
  using Stream = std::list<DeltaSet>::iterator;
  using Flush = std::list<DeltaSet>::iterator;
  using Op = std::list<Operation>::iterator;

  explicit Coverage(const Mask &mask)
      : mask_(mask), settled_(mask), arrived_(mask), proven_(mask) {}

  Stream open();
  void close(Stream stream);  // what was pending in it is missing

  // A request for a range inside the delta goes to the layer below. settles: once it is done, the
  // bytes are there. If not (zeroes where the source has data), they are missing from now on,
  // unless they are proven zero; and a write that is on its way at the same time proves nothing
  // either, for nobody knows which of the two came last.
  Op begin(extents::Range range, bool settles);
  // It was answered. If it failed, nobody knows what is there: missing.
  void end(Op op, Stream stream, bool succeeded);

  // The range is zero at the source, and was zeroed at the destination: pending. Zeroes that a
  // client sends later cannot spoil it.
  void prove_zero(extents::Range range, Stream stream);

  // Around a flush of the layer below: what is pending in the stream at its begin is settled at its
  // end, or, if the flush failed, missing.
  Flush begin_flush(Stream stream);
  void end_flush(Flush flush, bool succeeded);
  bool pending(Stream stream) const;

  std::vector<extents::Range> owed() const;  // the delta less what is settled, in order
  uint64_t owed_bytes() const;
  uint64_t arrived_bytes() const;  // of the delta: pending or settled
  // The first pieces of what is owed, at most so many, from an offset on.
  std::vector<Piece> missing(uint64_t from, size_t most) const;

  // What is settled, and a number that is another one whenever that is something else.
  struct Snapshot {
    DeltaSet settled;
    uint64_t changes;
  };
  Snapshot settled() const;

 private:
  // lock_ is held for all of them.
  void settle(const DeltaSet &pending);
  void forget(extents::Range range);
  void count_arrived();  // anew, after something was lost

  const Mask &mask_;
  mutable std::mutex lock_;  // protects all below; held for no I/O
  DeltaSet settled_;
  uint64_t changes_ = 0;             // of settled_
  DeltaSet arrived_;                 // settled, or pending somewhere
  DeltaSet proven_;                  // zero at the source and, unless missing, at the destination
  std::list<DeltaSet> streams_;      // pending
  std::list<DeltaSet> flushing_;     // pending, and a flush of it is under way
  std::list<Operation> operations_;  // under way
};

}  // namespace apply
