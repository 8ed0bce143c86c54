// SPDX-License-Identifier: BSD-3-Clause
//
// A connection to the server of a destination, with its limits and counters. One that is lost stays
// lost: a new DestinationConnection takes its place.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/durability/flushes_under_way.hpp"
#include "common/extents/extent.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/server/request.hpp"
#include "filters/fanout/server/request_limiter.hpp"
#include "filters/fanout/server/target.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

// Whether an errno of a request says that the connection is lost.
bool is_connection_lost(int errnum);

// Whether a read counts for fanout-rate.
enum class Limit { rate, none };

class DestinationConnection {
 public:
  // `counters` must outlive it.
  DestinationConnection(const DestinationSettings &settings, std::unique_ptr<Target> target,
                        Counters &counters);

  // From any thread. These do not block: they split the request to what the server takes and add
  // the parts to the batch. Buffers, and the connection, must live until the batch is over.
  void write(DestinationBatch &batch, std::span<const std::byte> buffer, uint64_t offset, bool fua);
  // `flags`: nbd::no_hole. A server that cannot zero is sent zeroes.
  void zero(DestinationBatch &batch, extents::Range range, uint32_t flags, bool fua);
  // Sends nothing if the server cannot flush.
  void flush(DestinationBatch &batch);
  void read(DestinationBatch &batch, std::span<std::byte> buffer, uint64_t offset,
            Limit limit = Limit::rate);

  // The server tells of a lost write once, by any flush or request with FUA: how many of these have failed. One that
  // has succeeded counts only if none has failed since it was sent, as is known after the wait for the answers to
  // those that were sent before.
  uint64_t failed_syncs() const { return failed_syncs_; }
  void wait_for_syncs() { syncs_.wait(); }

  // What waits for the limiter, and everything that is sent later, fails with ECANCELED.
  void cancel_waiting();

  // One NBD connection lost means all are: data acknowledged on it may not have been flushed.
  bool dead() const { return dead_ || target_->dead(); }
  const nbd::Info &info() const { return target_->info(); }

 private:
  friend class DestinationRequest;
  DestinationRequest &add(DestinationBatch &batch, nbd::Operation purpose, extents::Range range);
  void submit(DestinationRequest &request, Limit limit = Limit::rate);
  // Of a request: the limiter lets it start; the limiter is closed; the server has answered.
  void start(DestinationRequest &request);
  void reject(DestinationRequest &request);
  void complete(DestinationRequest &request, int errnum);

  std::string describe(const DestinationRequest &request, int errnum) const;
  uint64_t largest_payload() const;
  uint32_t fua_flag(bool fua) const { return fua && info().can_fua ? uint32_t{nbd::fua} : 0; }

  const DestinationSettings settings_;
  Counters &counters_;
  std::atomic<bool> dead_ = false;
  std::atomic<bool> cancelled_ = false;
  std::atomic<uint64_t> failed_syncs_ = 0;
  durability::FlushesUnderWay syncs_;
  RequestLimiter limiter_;
  std::unique_ptr<Target> target_;  // last: its threads complete requests, so they end first
};

}  // namespace fanout
