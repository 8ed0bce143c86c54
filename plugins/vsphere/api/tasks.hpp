// SPDX-License-Identifier: BSD-3-Clause
//
// The calls that start a task on the server (methods named ..._Task) and wait for its end.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/util/log.hpp"
#include "plugins/vsphere/api/client.hpp"

namespace vsphere {

// One thread at a time. Each function returns when its task has ended, and logs the progress. A machine
// that is busy with another task is tried again, as the policy says. They throw as Client::call does,
// FaultError if the task has failed, and util::Error ETIMEDOUT at the task's deadline.
class TaskRunner {
 public:
  // The client must outlive it.
  TaskRunner(Client &client, const RetryPolicy &policy, const util::Log &log)
      : client_(client), policy_(policy), log_(log) {}

  void enable_change_tracking(const Ref &vm);
  // Returns the snapshot.
  Ref create_snapshot(const Ref &vm, const std::string &name, const std::string &description,
                      bool quiesce);
  void remove_snapshot(const Ref &snapshot);
  void consolidate(const Ref &vm);

  // Waits for the end of a task that one of the functions above has started but not seen end, because
  // it was interrupted or a question about the task failed. The task's result does not matter. Does
  // nothing if there is no such task.
  void finish();
  bool has_unfinished() const { return !unfinished_.empty(); }

  // The pause of the policy.
  void sleep(std::chrono::milliseconds time) const { policy_.sleep(time); }

 private:
  struct Task {
    std::string_view method;
    const Ref &self;
    std::string arguments;
    std::string what;  // for messages
    std::chrono::seconds deadline;
    Client::Repeat repeat = Client::Repeat::once;
    unsigned min_retries = 0;  // while the machine is busy
  };

  Ref run(const Task &task);
  Ref wait_for(const Ref &task, const std::string &what, std::chrono::seconds deadline);

  Client &client_;
  const RetryPolicy policy_;
  const util::Log log_;
  Ref unfinished_;  // the task that is waited for, until its end has been seen
};

}  // namespace vsphere
