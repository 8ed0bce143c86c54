// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/tracking.hpp"

#include <cerrno>

#include "plugins/vsphere/api/fault.hpp"

namespace vsphere {

namespace {

// What tracking itself refuses, also a FileFault that did not pass, in contrast to what is wrong with
// the session, the machine or the question.
bool tracking_cannot_tell(const FaultError &e) {
  return e.meaning() == Meaning::tracking_lost || e.fault().kind == "FileFault";
}

// The file in which the host keeps track may be broken; a new one is made when tracking begins.
std::string advice_for(const Fault &fault) {
  if (fault.message.find("corrupt") == std::string::npos) return "";
  return "; turn changed block tracking off and on in vSphere, or this comes again";
}

// Why there is no delta, for the warning or the error.
struct FullNeeded {
  std::string why;
};

Allocated query_allocated(const ChangeQuery &query, const util::Log &log) {
  try {
    return query("*");
  } catch (const FaultError &e) {
    // A host that has no such map (NFS and others), or not for all the time since tracking began, or
    // does not know the question any more: VMware calls it deprecated.
    if (!tracking_cannot_tell(e)) throw;
    log.warning("which blocks are allocated is not known, so all are read: {}", e.what());
    return std::nullopt;
  }
}

std::vector<extents::Range> query_changed(const DiskInfo &disk, const Since &since,
                                          const ChangeQuery &query) {
  if (since.size && *since.size != disk.capacity) {
    throw FullNeeded{
        fmt::format("the disk had {} bytes and has {} now", *since.size, disk.capacity)};
  }
  if (epoch_of(since.change_id) != epoch_of(disk.change_id)) {
    throw FullNeeded{
        fmt::format("changed block tracking was reset ({} is of another period than {})",
                    since.change_id, disk.change_id)};
  }
  try {
    return query(since.change_id);
  } catch (const FaultError &e) {
    if (!tracking_cannot_tell(e)) throw;
    throw FullNeeded{e.what() + advice_for(e.fault())};
  }
}

}  // namespace

AreaPage patiently(const RetryPolicy &policy, const util::Log &log,
                   const std::function<AreaPage()> &query) {
  for (unsigned failures = 0;; ++failures) {
    try {
      return query();
    } catch (const FaultError &e) {
      if (e.meaning() != Meaning::temporary || failures >= policy.retries) throw;
      auto pause = policy.delay * (1u << failures);
      log.info("{}; trying again in {} ms", e.what(), pause.count());
      policy.before_retry(pause);
    }
  }
}

Tracked load_map(const DiskInfo &disk, const Since &since, bool fail_on_reset,
                 const ChangeQuery &query, const util::Log &log) {
  std::optional<std::vector<extents::Range>> changed;
  if (!since.change_id.empty()) {
    try {
      changed = query_changed(disk, since, query);
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
  Allocated allocated = query_allocated(query, log);
  std::optional<uint64_t> allocated_bytes;
  if (allocated) allocated_bytes = bytes_of(*allocated);
  if (!changed) return {full_map(disk.capacity, allocated), "", allocated_bytes, std::nullopt};
  return {delta_map(disk.capacity, *changed, allocated), since.change_id, allocated_bytes,
          bytes_of(*changed)};
}

}  // namespace vsphere
