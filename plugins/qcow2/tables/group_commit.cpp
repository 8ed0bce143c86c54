// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/group_commit.hpp"

namespace qcow2 {

void GroupCommit::run() {
  util::MutexLock lock(mutex_);
  const uint64_t wanted = rounds_begun_ + 1;
  while (rounds_ended_ < wanted) {
    if (running_) {
      ended_.wait(lock);
      continue;
    }
    running_ = true;
    ++rounds_begun_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      round_();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    running_ = false;
    ++rounds_ended_;
    failure_ = failure;
    ended_.notify_all();
  }
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace qcow2
