// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/tracking.hpp"

#include <cerrno>

#include "plugins/vsphere/fault.hpp"
#include "plugins/vsphere/source.hpp"

namespace vsphere {

namespace {

// Why there is no delta, for the warning or the error.
struct FullNeeded {
  std::string why;
};

// Faults that may pass are waited for; the last one, like all others, goes on.
std::vector<extents::Range> patiently(const ChangeQuery &query, const std::string &change_id,
                                      const RetryPolicy &policy, const util::Log &log) {
  for (unsigned failures = 0;; ++failures) {
    try {
      return query(change_id);
    } catch (const FaultError &e) {
      if (e.meaning() != Meaning::temporary || failures >= policy.retries) throw;
      log.info("{}; trying again", e.what());
      policy.sleep(policy.delay * (1u << failures));
    }
  }
}

Allocated query_allocated(const ChangeQuery &query, const RetryPolicy &policy,
                          const util::Log &log) {
  try {
    return patiently(query, "*", policy, log);
  } catch (const FaultError &e) {
    // A host that has no such map (NFS and others), or not for all the time since tracking began.
    if (e.fault().kind != "FileFault") throw;
    log.warning("which blocks are allocated is not known, so all are read: {}", e.what());
    return std::nullopt;
  }
}

std::vector<extents::Range> query_changed(const DiskInfo &disk, const Since &since,
                                          const ChangeQuery &query, const RetryPolicy &policy,
                                          const util::Log &log) {
  if (since.state && since.state->size != disk.capacity) {
    throw FullNeeded{
        fmt::format("the disk had {} bytes and has {} now", since.state->size, disk.capacity)};
  }
  if (epoch_of(since.change_id) != epoch_of(disk.change_id)) {
    throw FullNeeded{
        fmt::format("changed block tracking was reset ({} is of another period than {})",
                    since.change_id, disk.change_id)};
  }
  try {
    return patiently(query, since.change_id, policy, log);
  } catch (const FaultError &e) {
    if (e.meaning() != Meaning::tracking_lost && e.fault().kind != "FileFault") throw;
    throw FullNeeded{e.what()};
  }
}

}  // namespace

void check_state(const convention::State &state, const std::string &origin, const std::string &vm,
                 int64_t disk) {
  if (state.source == "vsphere" && state.vm == vm && state.disk == disk) return;
  util::fail(EINVAL,
             "since={}: that state is of {} {} disk {}, this is vsphere {} disk {}; give the state "
             "file of this disk's copy, or remove it to start with a full copy",
             origin, state.source, state.vm, state.disk, vm, disk);
}

Tracked load_map(const DiskInfo &disk, const Since &since, bool fail_on_reset,
                 const ChangeQuery &query, const RetryPolicy &policy, const util::Log &log) {
  std::optional<std::vector<extents::Range>> changed;
  if (!since.change_id.empty()) {
    try {
      changed = query_changed(disk, since, query, policy, log);
    } catch (const FullNeeded &full) {
      if (fail_on_reset) {
        util::fail(
            ESTALE,
            "since={}: what has changed on disk {} is not known: {}; on-reset=full copies all "
            "of it",
            since.origin, disk.key, full.why);
      }
      log.warning("the whole disk {} is in the delta: {}", disk.key, full.why);
    }
  }
  Allocated allocated = query_allocated(query, policy, log);
  std::optional<uint64_t> allocated_bytes;
  if (allocated) allocated_bytes = bytes_of(*allocated);
  if (!changed) return {full_map(disk.capacity, allocated), "", allocated_bytes, std::nullopt};
  return {delta_map(disk.capacity, *changed, allocated), since.change_id, allocated_bytes,
          bytes_of(*changed)};
}

}  // namespace vsphere
