// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/api/tasks.hpp"

#include <algorithm>
#include <cerrno>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/api/properties.hpp"
#include "plugins/vsphere/api/retry_fault.hpp"

namespace vsphere {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds create_deadline{900};  // quiescing waits for the guest
// Removing a snapshot copies what was written since. The server continues after the deadline.
constexpr std::chrono::seconds remove_deadline{600};
constexpr std::chrono::seconds reconfigure_deadline{300};

// Removing a snapshot is tried at least so often: with the default delay, for a minute while a backup or
// a migration runs. A snapshot that stays is worse than one that could not be made.
constexpr unsigned removal_retries = 6;

// Logs the progress of a task, at most once a second.
class Progress {
 public:
  Progress(const std::string &what, const util::Log &log) : what_(what), log_(log) {}

  void log(const std::string &percent) {
    auto now = clock::now();
    if (percent.empty() || percent == logged_ || now - time_ < std::chrono::seconds(1)) return;
    log_.info("{}: {} %", what_, percent);
    logged_ = percent;
    time_ = now;
  }

 private:
  const std::string &what_;
  const util::Log &log_;
  std::string logged_;
  clock::time_point time_ = clock::now();
};

}  // namespace

Ref TaskRunner::run(const Task &task) {
  return retry_busy_vm(policy_, log_, task.min_retries, [&] {
    soap::Reply reply = client_.call(task.method, task.self, task.arguments, task.repeat);
    return wait_for(soap::ref(soap::child(reply.response(), "returnval")), task.what,
                    task.deadline);
  });
}

Ref TaskRunner::wait_for(const Ref &task, const std::string &what, std::chrono::seconds deadline) {
  unfinished_ = task;
  auto end = clock::now() + deadline;
  Progress progress(what, log_);
  std::chrono::milliseconds pause{20};
  // It is for what is not answered. The deadline is for the task.
  const auto patience = client_.patience();
  for (;;) {
    ObjectContent info = read_properties(
        client_, task, {"info.state", "info.error", "info.result", "info.progress"});
    client_.set_patience(patience);
    std::string state = info.text("info.state");
    bool late = clock::now() > end;
    if (state == "success" || state == "error" || late) unfinished_ = {};
    if (state == "success") return soap::ref(info.property("info.result"));
    if (state == "error") throw fault_error(parse_method_fault(info.property("info.error")), what);
    if (late) {
      util::fail(ETIMEDOUT,
                 "{}: the task {} has not ended after {} seconds; it continues in vSphere", what,
                 task.value, deadline.count());
    }
    progress.log(info.text("info.progress"));
    policy_.sleep(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{2000});
  }
}

void TaskRunner::finish() {
  if (unfinished_.empty()) return;
  Ref task = unfinished_;
  try {
    wait_for(task, "waiting for the task " + task.value, create_deadline);
  } catch (const FaultError &e) {
    log_.info("{}", e.what());
  }
}

void TaskRunner::enable_change_tracking(const Ref &vm) {
  run({"ReconfigVM_Task", vm, "<spec>" + soap::element("changeTrackingEnabled", true) + "</spec>",
       "turning change tracking on for " + vm.value, reconfigure_deadline});
}

Ref TaskRunner::create_snapshot(const Ref &vm, const std::string &name,
                                const std::string &description, bool quiesce) {
  return run({"CreateSnapshot_Task", vm,
              soap::element("name", name) + soap::element("description", description) +
                  soap::element("memory", false) + soap::element("quiesce", quiesce),
              "creating a snapshot of " + vm.value, create_deadline});
}

void TaskRunner::remove_snapshot(const Ref &snapshot) {
  run({"RemoveSnapshot_Task", snapshot,
       soap::element("removeChildren", false) + soap::element("consolidate", true),
       "removing snapshot " + snapshot.value, remove_deadline, Client::Repeat::safe,
       removal_retries});
}

void TaskRunner::consolidate(const Ref &vm) {
  run({"ConsolidateVMDisks_Task", vm, "", "consolidating the disks of " + vm.value, remove_deadline,
       Client::Repeat::safe, removal_retries});
}

}  // namespace vsphere
