// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/snapshot.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"

namespace vsphere {

namespace {

// How long a snapshot is looked for whose creation the server has not answered: it may do it yet.
constexpr std::chrono::milliseconds first_pause{500};
constexpr int looks = 4;  // with doubled pauses: over 3.5 seconds

// The server may remove the snapshot without merging its files into the disks. Then the files stay and
// grow, and no list of snapshots shows them; so they are consolidated. An error of that is a warning:
// the snapshot has been removed.
void remove_and_merge(Client &client, TaskRunner &tasks, const VmInfo &vm, const Ref &snapshot,
                      const util::Log &log) {
  try {
    tasks.remove_snapshot(snapshot);
  } catch (const FaultError &e) {
    if (e.fault().kind != "ManagedObjectNotFound") throw;
    // It is the task that is gone, if the server was started anew meanwhile.
    if (has_snapshot(client, vm.ref, snapshot)) throw;
    log.info("snapshot {} of {} is gone already", snapshot.value, vm.name);
  }
  try {
    if (!needs_consolidation(client, vm.ref)) return;
    log.info("the disks of {} need consolidation after the removal of snapshot {}", vm.name,
             snapshot.value);
    tasks.consolidate(vm.ref);
  } catch (const util::Error &e) {
    log.warning("{}; have the disks of {} consolidated in vSphere (Snapshots, Consolidate)",
                e.what(), vm.name);
  }
}

// No snapshot has the token: that the journal still has it does no harm.
void forget(Journal *journal, std::string_view token, const util::Log &log) {
  if (journal == nullptr) return;
  try {
    journal->remove(token);
  } catch (const util::Error &e) {
    log.warning("no snapshot is left, but {} still has the token of one: {}", journal->path(),
                e.what());
  }
}

}  // namespace

bool remove_leftovers(Client &client, TaskRunner &tasks, const VmInfo &vm, Journal *journal,
                      const util::Log &log) {
  std::vector<std::string_view> tokens;  // forgotten last: two snapshots may have the same one
  for (const auto &snapshot : vm.snapshots) {
    const std::string_view token = token_of(snapshot.description);
    if (journal != nullptr && journal->has(token)) {
      log.warning("removing the snapshot {} that an earlier run left on {}", snapshot.ref.value,
                  vm.name);
      remove_and_merge(client, tasks, vm, snapshot.ref, log);
      tokens.push_back(token);
    } else if (is_of_plugin(snapshot.name)) {
      log.warning("the snapshot {} (\"{}\") of {} is left alone: it is another run's ({})",
                  snapshot.ref.value, snapshot.name, vm.name, snapshot.description);
    }
  }
  for (const std::string_view token : tokens) forget(journal, token, log);
  return !tokens.empty();
}

void Snapshot::create(bool quiesce) {
  token_ = new_token();
  if (journal_ != nullptr) journal_->add(token_);
  may_exist_ = true;
  unanswered_ = true;
  try {
    REPLICATE_SYNC_POINT("vsphere.token_durable");
    ref_ = tasks_.create_snapshot(vm_.ref, snapshot_name(), snapshot_description(token_), quiesce);
  } catch (const FaultError &) {  // of the creation, of its task, or of a question about the task
    unanswered_ = tasks_.has_unfinished();
    throw;
  } catch (const util::Error &) {  // also an interrupted pause before the next attempt to connect
    may_exist_ = unanswered_ = client_.may_have_begun();
    if (!may_exist_) forget(journal_, token_, log_);
    throw;
  }
  unanswered_ = false;
  if (ref_.empty()) util::fail(EPROTO, "the server created a snapshot but does not tell which");
  log_.debug("snapshot {} of {}", ref_.value, vm_.name);
}

// Removes all snapshots of the machine that have this token. Returns whether there was one.
bool Snapshot::remove_by_token() {
  bool found = false;
  for (const auto &snapshot : describe_vm(client_, vm_.ref).snapshots) {
    if (token_of(snapshot.description) != token_) continue;
    log_.info("removing the snapshot {} of {}, whose creation was interrupted", snapshot.ref.value,
              vm_.name);
    remove_and_merge(client_, tasks_, vm_, snapshot.ref, log_);
    found = true;
  }
  return found;
}

// The same. If the server has not answered the creation, waits a little for the snapshot to appear.
bool Snapshot::remove_when_found() {
  std::chrono::milliseconds pause = first_pause;
  for (int look = 1; !remove_by_token(); ++look, pause *= 2) {
    if (!unanswered_ || look == looks) return false;
    tasks_.sleep(pause);
  }
  return true;
}

// Tokens of which no snapshot exists, this run's and those of earlier runs. The server makes and removes the
// snapshots of a machine one after the other: when this run's has been made, what an earlier run asked for has
// been made too, or never will be. One that exists is removed by the next run. An error is not one of the
// removal: tokens that stay do no harm.
void Snapshot::forget_tokens() {
  if (journal_ == nullptr) return;
  try {
    const VmInfo now = describe_vm(client_, vm_.ref);
    const std::vector<std::string> tokens = journal_->tokens();
    for (const std::string &token : tokens) {
      const bool exists = std::any_of(
          now.snapshots.begin(), now.snapshots.end(),
          [&](const auto &snapshot) { return token_of(snapshot.description) == token; });
      if (!exists) {
        forget(journal_, token, log_);
      } else {
        log_.warning("{} has one more snapshot with a token of {}: the next run removes it",
                     vm_.name, journal_->path());
      }
    }
  } catch (const util::Error &e) {
    log_.info("the tokens in {} stay until the next run: {}", journal_->path(), e.what());
  }
}

void Snapshot::remove() {
  if (!may_exist_) return;
  if (tasks_.has_unfinished()) {  // the creation, or a removal, that was interrupted
    tasks_.finish();
    unanswered_ = tasks_.has_unfinished();
  }
  bool known = true;
  const bool made = !ref_.empty();
  if (made) {
    remove_and_merge(client_, tasks_, vm_, ref_, log_);
    log_.debug("snapshot {} of {} is removed", ref_.value, vm_.name);
  } else {
    known = remove_when_found() || !unanswered_;
  }
  ref_ = {};
  may_exist_ = false;
  if (made) {
    forget_tokens();
  } else if (known) {
    forget(journal_, token_, log_);
  } else {
    log_.warning("the server has not said whether it creates the snapshot of {}: {}", vm_.name,
                 journal_ != nullptr ? "the next run removes it if it does"
                                     : "if it does, remove it in vSphere");
  }
}

}  // namespace vsphere
