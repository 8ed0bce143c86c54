// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/client_gate.hpp"

#include "common/durability/sync_point.hpp"

namespace apply {

using util::MutexLock;

void ClientGate::enter() {
  MutexLock lock(mutex_);
  ++waiting_;
  while (closed_) {
    REPLICATE_SYNC_POINT("apply.gate_waits");
    reopened_.wait(lock);
  }
  --waiting_;
  ++clients_;
}

void ClientGate::leave() {
  MutexLock lock(mutex_);
  --clients_;
}

bool ClientGate::leave_and_close() {
  MutexLock lock(mutex_);
  if (--clients_ > 0) return false;
  closed_ = true;
  return true;
}

void ClientGate::reopen() {
  MutexLock lock(mutex_);
  closed_ = false;
  reopened_.notify_all();
}

size_t ClientGate::clients() const {
  MutexLock lock(mutex_);
  return clients_;
}

}  // namespace apply
