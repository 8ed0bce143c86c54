// SPDX-License-Identifier: BSD-3-Clause
//
// The way to a destination while it is connected: its server, its limits, its counters. When the
// connection is lost, it is lost for good: another Link takes its place.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "filters/fanout/counters.hpp"
#include "filters/fanout/server/gather.hpp"
#include "filters/fanout/server/request_limiter.hpp"
#include "filters/fanout/settings.hpp"
#include "filters/fanout/server/target.hpp"

namespace fanout {

// Whether an errno says that the server is no longer to be reached over this connection.
bool means_lost(int errnum);

// The submitting methods may be called from any thread. They do not block and do not throw: each
// request becomes one or more of the server's size, added to the Gather and done there; what failed
// is told to the Outcome. Buffers live until then.
class Link {
 public:
  // `counters` must outlive it.
  Link(const Settings &settings, std::unique_ptr<Target> target, Counters &counters);

  void write(Gather &gather, Outcome &outcome, std::span<const std::byte> buffer, uint64_t offset,
             bool fua);
  // `flags`: nbd::no_hole. A server that cannot zero is sent zeroes.
  void zero(Gather &gather, Outcome &outcome, uint64_t count, uint64_t offset, uint32_t flags,
            bool fua);
  // Nothing to do where the server offers no flush.
  void flush(Gather &gather, Outcome &outcome);
  void read(Gather &gather, Outcome &outcome, std::span<std::byte> buffer, uint64_t offset);

  // What has not been sent to the server yet, and all that comes, fails with ECANCELED.
  void give_up();

  // One connection lost is all lost: what was acknowledged there may not have been flushed.
  bool dead() const { return dead_ || target_->dead(); }
  const nbd::Info &info() const { return target_->info(); }

 private:
  enum class Operation { write, zero, flush, read };
  struct Piece {
    Operation operation;
    const std::byte *data;
    std::byte *into;
    uint64_t count;
    uint64_t offset;
    uint32_t flags;
    Gather *gather;
    Outcome *outcome;
  };

  void submit(const Piece &piece);
  void issue(const Piece &piece);
  void completed(const Piece &piece, int errnum);
  void fail(const Piece &piece, int errnum);
  uint64_t largest() const;
  uint32_t fua_flag(bool fua) const { return fua && info().can_fua ? uint32_t{nbd::fua} : 0; }

  const Settings settings_;
  Counters &counters_;
  std::atomic<bool> dead_ = false;
  std::atomic<bool> given_up_ = false;
  Limiter limiter_;
  std::unique_ptr<Target> target_;  // last: its threads complete requests, and end first
};

}  // namespace fanout
