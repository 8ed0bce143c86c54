// SPDX-License-Identifier: BSD-3-Clause
//
// What a server does on our behalf, and tells of as a task: begun, waited for, told of.
#include <algorithm>
#include <cerrno>

#include "plugins/vsphere/api/client.hpp"
#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

namespace {

using clock = std::chrono::steady_clock;

// Quiescing waits for the guest.
constexpr std::chrono::seconds create_deadline{900};
// Consolidation copies back what was written meanwhile; it goes on without us.
constexpr std::chrono::seconds remove_deadline{600};
constexpr std::chrono::seconds reconfigure_deadline{300};

// A snapshot that stays is worse than one that does not come about: a backup of somebody else's or a
// migration is waited for a minute (with the default delay) before we go.
constexpr unsigned patience_to_remove = 6;

// Tells of a long task's progress now and then.
class Progress {
 public:
  Progress(const std::string &what, const util::Log &log) : what_(what), log_(log) {}

  void tell(const std::string &percent) {
    auto now = clock::now();
    if (percent.empty() || percent == told_ || now - at_ < std::chrono::seconds(1)) return;
    log_.info("{}: {} %", what_, percent);
    told_ = percent;
    at_ = now;
  }

 private:
  const std::string &what_;
  const util::Log &log_;
  std::string told_;
  clock::time_point at_ = clock::now();
};

}  // namespace

Ref Client::run(const TaskCall &task) {
  for (unsigned failures = 0;; ++failures) {
    try {
      soap::Reply reply = call(task.method, task.self, task.arguments, task.repeat);
      return wait_for(soap::ref(soap::child(reply.response(), "returnval")), task.what,
                      task.deadline);
    } catch (const FaultError &e) {
      // The machine has one task at a time. Nothing was begun, so it may be asked for again.
      if (e.meaning() != Meaning::busy || failures >= std::max(policy_.retries, task.patience)) {
        throw;
      }
      auto pause = policy_.delay * (1u << failures);
      log_.info("{}; trying again in {} ms", e.what(), pause.count());
      policy_.before_retry(pause);
    }
  }
}

Ref Client::wait_for(const Ref &task, const std::string &what, std::chrono::seconds deadline) {
  unfinished_ = task;
  auto end = clock::now() + deadline;
  Progress progress(what, log_);
  std::chrono::milliseconds pause{20};
  for (;;) {
    Contents keep;
    ObjectContent info =
        properties(task, {"info.state", "info.error", "info.result", "info.progress"}, keep);
    std::string state = info.text("info.state");
    bool late = clock::now() > end;
    if (state == "success" || state == "error" || late) unfinished_ = {};
    if (state == "success") return soap::ref(info.property("info.result"));
    if (state == "error") throw explain(parse_method_fault(info.property("info.error")), what);
    if (late) {
      util::fail(ETIMEDOUT,
                 "{}: the task {} has not ended after {} seconds; vSphere goes on with it", what,
                 task.value, deadline.count());
    }
    progress.tell(info.text("info.progress"));
    policy_.sleep(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{2000});
  }
}

void Client::finish_task() {
  if (unfinished_.empty()) return;
  Ref task = unfinished_;
  try {
    wait_for(task, "waiting for the task " + task.value, create_deadline);
  } catch (const FaultError &e) {
    log_.info("{}", e.what());
  }
}

void Client::enable_change_tracking(const Ref &vm) {
  run({"ReconfigVM_Task", vm, "<spec>" + soap::element("changeTrackingEnabled", true) + "</spec>",
       "turning change tracking on for " + vm.value, reconfigure_deadline});
}

Ref Client::create_snapshot(const Ref &vm, const std::string &name, const std::string &description,
                            bool quiesce) {
  return run({"CreateSnapshot_Task", vm,
              soap::element("name", name) + soap::element("description", description) +
                  soap::element("memory", false) + soap::element("quiesce", quiesce),
              "creating a snapshot of " + vm.value, create_deadline});
}

void Client::remove_snapshot(const Ref &snapshot) {
  run({"RemoveSnapshot_Task", snapshot,
       soap::element("removeChildren", false) + soap::element("consolidate", true),
       "removing snapshot " + snapshot.value, remove_deadline, Repeat::safe, patience_to_remove});
}

bool Client::needs_consolidation(const Ref &vm) {
  Contents keep;
  return properties(vm, {"runtime.consolidationNeeded"}, keep)
             .text("runtime.consolidationNeeded") == "true";
}

void Client::consolidate(const Ref &vm) {
  run({"ConsolidateVMDisks_Task", vm, "", "consolidating the disks of " + vm.value, remove_deadline,
       Repeat::safe, patience_to_remove});
}

}  // namespace vsphere
