// SPDX-License-Identifier: BSD-3-Clause
//
// The disks of a virtual machine as they were at one instant: from the login to the removal of the
// snapshot.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/replication/source_description.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/api/client.hpp"
#include "plugins/vsphere/api/inventory.hpp"
#include "plugins/vsphere/changes/disk_map.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/snapshot/ownership.hpp"
#include "plugins/vsphere/snapshot/snapshot.hpp"
#include "plugins/vsphere/snapshot/startup_signals.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

struct Disk {
  std::string name;  // of the export: the device key
  DiskInfo info;     // as in the snapshot
  replication::SourceDescription description;
  DiskMap map;
  std::unique_ptr<DiskReader> reader;
};

class Source {
 public:
  // The settings must outlive it.
  Source(const Settings &settings, const util::Log &log);

  // Finds the machine, creates the snapshot, loads the maps, tries to read. When it throws (each
  // step with its own reason) the snapshot has been removed and the session closed. So it does, with
  // EINTR, when a signal to end comes.
  void start();

  // Sits out a pause before or after nbdkit serves; a signal to end ends those of start(), which
  // fails then. Throws util::Error EINTR there.
  void pause(std::chrono::milliseconds time) const;

  // Closes all connections, as a fork is coming; they are made anew when they are needed.
  void disconnect();

  // Removes the snapshot and logs out. Logs what fails. May be called twice.
  void stop() noexcept;

  // From the end of start() on, these may be called from any thread.
  const std::vector<Disk> &disks() const { return disks_; }
  // The range must lie within the disk. Throws util::Error.
  void read(const Disk &disk, std::span<std::byte> buffer, uint64_t offset);

 private:
  void prepare();
  void turn_tracking_on(VmInfo &vm);
  std::vector<DiskInfo> take_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  std::vector<DiskInfo> use_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  std::vector<DiskInfo> disks_in(const Ref &snapshot, const std::vector<DiskInfo> &chosen);
  Disk load(const VmInfo &vm, const DiskInfo &info, const std::string &datacenter);

  const Settings &settings_;
  const util::Log log_;
  Client client_;
  const std::unique_ptr<Transport> transport_;
  std::optional<StartSignals> signals_;  // from the login on, until all is ready
  std::optional<RunLock> lock_;
  std::optional<Snapshot> snapshot_;  // ours, if we made one
  Ref frozen_;                        // the snapshot that is read
  std::map<int64_t, Since> since_;    // for each disk, by key
  std::vector<Disk> disks_;
};

}  // namespace vsphere
