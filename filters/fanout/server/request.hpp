// SPDX-License-Identifier: BSD-3-Clause
//
// One request to the server of a destination. The same object waits in the limiter's queue, is
// submitted to libnbd, and reports its end to the batch that it belongs to.
#pragma once

#include <list>
#include <optional>

#include "common/nbd/batch.hpp"
#include "common/nbd/command.hpp"
#include "filters/fanout/server/request_limiter.hpp"

namespace fanout {

class DestinationConnection;

class DestinationRequest final : public nbd::Command, public RequestLimiter::Waiter {
 public:
  // `purpose`: what the counters and messages call it; a zero may be sent as a write. Both
  // references must outlive the request.
  DestinationRequest(DestinationConnection &connection, nbd::Batch &batch, nbd::Operation purpose)
      : purpose_(purpose), connection_(connection), batch_(batch) {
    operation = purpose;
  }

  // The request may be destroyed by the batch's thread before this returns.
  void completed(int errnum) override;

 private:
  friend class DestinationConnection;
  void start() override;
  void reject() override;

  // A flush, or a request with FUA: the server's answer may tell of a lost write of others.
  bool syncs() const { return operation == nbd::Operation::flush || (flags & nbd::fua) != 0; }

  const nbd::Operation purpose_;
  uint64_t sync_ = 0;  // its number while one is under way
  DestinationConnection &connection_;
  nbd::Batch &batch_;
};

// The requests that one destination is sent for one purpose: a client's request, a copy, a flush.
// One thread fills it (by way of DestinationConnection) and waits.
class DestinationBatch {
 public:
  // Waits until all requests are over. More may be sent after that.
  void wait() { batch_.wait(); }
  // After wait(): the first request that failed.
  const std::optional<nbd::Failure> &failure() const { return batch_.failure(); }
  bool succeeded() const { return !batch_.failure(); }

 private:
  friend class DestinationConnection;
  std::list<DestinationRequest> requests_;
  nbd::Batch batch_;  // last: its destructor waits, before the requests are destroyed
};

}  // namespace fanout
