// SPDX-License-Identifier: BSD-3-Clause
//
// The requests that a helper process works on, one for each slot of the shared memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/util/mutex.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// May be used from any thread. A slot is reserved, used for one request after the other (begin,
// wait), and released. The mutex is held only to look at the table, never while anything is sent or
// read.
class RequestTable {
 public:
  explicit RequestTable(unsigned slots);

  // Reserves a slot. Returns nothing if none is free and `may_wait` is false. Throws TransportError
  // after close() or end().
  std::optional<unsigned> reserve(bool may_wait) ABSL_LOCKS_EXCLUDED(mutex_);
  void release(unsigned slot) ABSL_LOCKS_EXCLUDED(mutex_);

  // Begins a request in a reserved slot. Returns its id. Throws TransportError after end().
  uint64_t begin(unsigned slot) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for the answer to the slot's request. Returns nothing at the deadline. Throws
  // TransportError if end() comes before the answer.
  std::optional<Done> wait(unsigned slot, std::chrono::milliseconds time)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Stores an answer. Throws util::Error EPROTO if no such request is under way.
  void answer(const Done &done) ABSL_LOCKS_EXCLUDED(mutex_);

  // No more slots are reserved. Requests under way go on.
  void close() ABSL_LOCKS_EXCLUDED(mutex_);

  // No more answers will come: the helper process has ended or is being killed. The first reason is
  // kept for messages.
  void end(const std::string &why) ABSL_LOCKS_EXCLUDED(mutex_);

  bool closed() const ABSL_LOCKS_EXCLUDED(mutex_);  // also after end()
  bool ended() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Returns false if end() is not called in time.
  bool wait_for_end(std::chrono::milliseconds time) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Request {
    enum class State { none, under_way, answered };
    State state = State::none;
    uint64_t id = 0;  // tells an answer from one to an older request of the slot
    Done answer;
  };

  bool pending(unsigned slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[noreturn]] void fail() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable util::Mutex mutex_;
  util::Condition changed_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);  // by slot
  // A stack: the slot used last is used next, so that few pages of the shared memory are touched.
  std::vector<unsigned> free_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string why_ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace vsphere::vddk
