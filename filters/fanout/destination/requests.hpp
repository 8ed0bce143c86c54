// SPDX-License-Identifier: BSD-3-Clause
//
// A client's requests at one destination. All of this runs on the thread of the request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "filters/fanout/destination/data.hpp"

namespace fanout {

// A client's request that changes the primary.
struct Change {
  Range range;
  std::span<const std::byte> data;  // what is written; empty: the range is zeroed
  uint32_t flags = 0;               // nbd::no_hole, for a zero
  bool fua = false;
};

// A change at one destination: sent at once (direct), or copied later (deferred). The calls are
// begin(), send(), wait(), then flush_without_fua() and wait() if wanted, and end(). The change's
// data must live until the last wait().
class PendingChange {
 public:
  PendingChange(DestinationData &destination, const Change &change)
      : d_(destination), change_(change) {}
  // Waits. A change that was sent and not ended has failed; one that was not sent is withdrawn.
  ~PendingChange();
  PendingChange(const PendingChange &) = delete;
  PendingChange &operator=(const PendingChange &) = delete;

  // Before the primary is changed. If the destination is nearly caught up it may wait for the last
  // copies. Throws util::Error if the state file cannot be written.
  void begin();
  void send();
  void wait();
  // For a change with FUA: flushes a server that has no FUA.
  void flush_without_fua();
  // After the primary has been changed, or that has failed. If the destination does not have the
  // change then, the state file owes it; throws as begin().
  void end(bool primary_changed);

 private:
  bool keep_copy();
  void withdraw();

  DestinationData &d_;
  const Change change_;
  bool begun_ = false;
  bool sent_ = false;
  Ledger::Id id_;
  std::shared_ptr<DestinationConnection> connection_;  // nothing: the change is deferred
  DestinationBatch requests_;
};

// A flush of one destination: send(), wait(), end().
class PendingFlush {
 public:
  // The destination is connected.
  explicit PendingFlush(DestinationData &destination)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(destination.mutex);

  void send() { connection_->flush(requests_); }
  void wait();
  // Returns whether it counts. If not, what was not flushed is a loss: save_at_risk().
  bool end();

 private:
  DestinationData &d_;
  std::shared_ptr<DestinationConnection> connection_;
  Ledger::Flush flush_;
  DestinationBatch requests_;
};

// A client's flush; save_at_risk() (saving.hpp) completes it. Nothing if the destination is not
// connected, or is behind and has nothing unflushed. An async destination is not flushed, because
// no request waits for it: its state file owes what it has not flushed.
std::unique_ptr<PendingFlush> begin_flush(DestinationData &d) ABSL_LOCKS_EXCLUDED(d.mutex);

}  // namespace fanout
