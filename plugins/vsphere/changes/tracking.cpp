// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/tracking.hpp"

#include <cerrno>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/changes/extent_maps.hpp"

namespace vsphere {

namespace {

// A fault of change tracking itself, and not of the session, the machine or the request. A FileFault
// that is left after all retries is one too.
bool is_of_tracking(const FaultError &e) {
  return e.meaning() == Meaning::tracking_lost || e.fault().kind == "FileFault";
}

// The host keeps track in a file beside the disk. A new one is made when tracking is turned on.
std::string advice_for(const Fault &fault) {
  if (fault.message.find("corrupt") == std::string::npos) return "";
  return "; turn changed block tracking off and on in vSphere, or this happens again";
}

// The areas that have changed, or why they are not known.
struct Changes {
  std::optional<std::vector<extents::Range>> areas;
  std::string why_unknown;
};

Changes query_changes(const DiskInfo &disk, const Since &since, const ChangeQuery &query) {
  if (since.size && *since.size != disk.capacity) {
    return {std::nullopt,
            fmt::format("the disk had {} bytes and has {} now", *since.size, disk.capacity)};
  }
  if (epoch_of(since.change_id) != epoch_of(disk.change_id)) {
    return {std::nullopt,
            fmt::format("changed block tracking was reset ({} is of another period than {})",
                        since.change_id, disk.change_id)};
  }
  try {
    return {query(since.change_id), ""};
  } catch (const FaultError &e) {
    if (!is_of_tracking(e)) throw;
    return {std::nullopt, e.what() + advice_for(e.fault())};
  }
}

// Some hosts and datastores (NFS) do not know what is allocated, or only if tracking was on from the
// beginning. VMware has deprecated the query.
Allocated query_allocated(const ChangeQuery &query, const util::Log &log) {
  try {
    return query("*");
  } catch (const FaultError &e) {
    if (!is_of_tracking(e)) throw;
    log.warning("which blocks are allocated is not known, so all are read: {}", e.what());
    return std::nullopt;
  }
}

}  // namespace

LoadedMap untracked_map(const DiskInfo &disk,
                        const std::optional<std::vector<extents::Range>> &allocated) {
  std::optional<uint64_t> bytes;
  if (allocated) bytes = total_length(*allocated);
  return {full_map(disk.capacity, allocated), "", bytes, std::nullopt};
}

LoadedMap load_map(const DiskInfo &disk, const Since &since, bool fail_on_reset,
                   const ChangeQuery &query, const util::Log &log) {
  Changes changes;
  if (!since.change_id.empty()) changes = query_changes(disk, since, query);
  if (!changes.why_unknown.empty()) {
    if (fail_on_reset) {
      util::fail(ESTALE,
                 "since={}: what has changed on disk {} is not known: {}; on-reset=full copies all "
                 "of it",
                 since.origin, disk.key, changes.why_unknown);
    }
    log.warning("the whole disk {} is in the delta: {}", disk.key, changes.why_unknown);
  }
  Allocated allocated = query_allocated(query, log);
  std::optional<uint64_t> allocated_bytes;
  if (allocated) allocated_bytes = total_length(*allocated);
  if (!changes.areas) {
    return {full_map(disk.capacity, allocated), "", allocated_bytes, std::nullopt};
  }
  return {delta_map(disk.capacity, *changes.areas, allocated), since.change_id, allocated_bytes,
          total_length(*changes.areas)};
}

}  // namespace vsphere
