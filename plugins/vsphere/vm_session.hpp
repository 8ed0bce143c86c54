// SPDX-License-Identifier: BSD-3-Clause
//
// The disks of a virtual machine at one instant: from the login to the removal of the snapshot.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/extents/frozen_map.hpp"
#include "common/replication/source_description.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/api/client.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/api/tasks.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/snapshot/journal.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/snapshot/snapshot.hpp"
#include "plugins/vsphere/snapshot/startup_signals.hpp"
#include "plugins/vsphere/snapshot/watch.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

struct Disk {
  std::string name;  // of the export: the device key
  DiskInfo info;     // as in the snapshot
  replication::SourceDescription description;
  extents::FrozenMap map;
  std::unique_ptr<DiskReader> reader;
};

// start(), disconnect() and stop() are called by one thread at a time.
class VmSession {
 public:
  // The settings must outlive it.
  VmSession(const Settings &settings, const util::Log &log);

  // Logs in, finds the machine, creates the snapshot, loads the maps, and reads a sector of each disk.
  // If a step fails, it removes the snapshot, logs out, and throws. A signal (startup_signals.hpp) makes
  // it fail with EINTR; until serve() a later one is only recorded.
  void start();

  // After the fork and after nbdkit has installed its signal handlers: a signal that came before goes to
  // them, and the snapshot is watched from now on.
  void serve();

  // Throws util::Error EINTR if a request that is under way has to end: during start() after a signal, and
  // when the watch is being stopped.
  void check_interrupt() const;

  // Waits. During start() it throws util::Error EINTR as soon as a signal comes.
  void pause(std::chrono::milliseconds time) const;

  // Closes all connections, before a fork. They are made again when they are needed.
  void disconnect();

  // Removes the snapshot and logs out, within Settings::end_timeout if the server does not answer (a removal
  // that is under way is waited for as long as the server tells of it). Errors are logged. May be called
  // again.
  void stop() noexcept;

  // After start(), any thread may call these.
  const std::vector<Disk> &disks() const { return disks_; }
  // The first disk if the name is empty. Throws util::Error ENOENT.
  const Disk &disk(const std::string &name) const;
  // The range must be within the disk. Throws util::Error; SnapshotGone, as soon as it is known that the
  // snapshot is gone.
  void read(const Disk &disk, std::span<std::byte> buffer, uint64_t offset);

  // Returns if the server still shows the snapshot. Throws util::Error if not, or if it does not answer.
  void confirm();
  // A read has failed and is about to be retried: has the watch ask. Throws SnapshotGone if that is known.
  void suspect();

 private:
  void prepare();
  void close_disks() noexcept;
  std::string left_behind() const;
  Journal *journal() { return journal_ ? &*journal_ : nullptr; }
  void turn_tracking_on(VmInfo &vm);
  std::vector<DiskInfo> create_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  void watch(const VmInfo &vm);
  std::vector<DiskInfo> use_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  Disk load(const VmInfo &vm, const DiskInfo &info, const std::string &datacenter);
  std::vector<extents::Range> query_areas(const VmInfo &vm, const DiskInfo &info,
                                          const std::string &change_id);

  const Settings &settings_;
  const util::Log log_;
  Client client_;
  TaskRunner tasks_;
  const std::unique_ptr<Transport> transport_;
  std::optional<StartupSignals> signals_;  // from the login until serve()
  std::optional<Journal> journal_;         // these two while a snapshot of this run may exist
  std::optional<RunLock> lock_;
  std::optional<Snapshot> snapshot_;  // if this run created it
  Ref snapshot_ref_;                  // of the snapshot that is read
  std::string snapshot_name_;
  std::map<int64_t, Since> since_;  // by device key
  std::vector<Disk> disks_;
  std::atomic<bool> stopping_watch_ = false;
  std::optional<SnapshotWatch>
      watch_;  // uses client_ from serve() to stop(), when nothing else does
};

}  // namespace vsphere
