// SPDX-License-Identifier: BSD-3-Clause
//
// The disks of a virtual machine as they were at one instant: from the login to the removal of the
// snapshot.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/convention/description.hpp"
#include "common/convention/state.hpp"
#include "common/util/log.hpp"
#include "plugins/vsphere/client.hpp"
#include "plugins/vsphere/counters.hpp"
#include "plugins/vsphere/disk_map.hpp"
#include "plugins/vsphere/inventory.hpp"
#include "plugins/vsphere/run_lock.hpp"
#include "plugins/vsphere/snapshot.hpp"
#include "plugins/vsphere/start_signals.hpp"
#include "plugins/vsphere/transport.hpp"
#include "plugins/vsphere/transport_settings.hpp"

namespace vsphere {

// What a delta starts from. A run with neither is a full one.
struct Since {
  std::string change_id;                   // since=CHANGEID, or the state's checkpoint
  std::optional<convention::State> state;  // since=@FILE
  std::string origin;                      // the parameter's value, for messages
};

struct Settings {
  Endpoint endpoint;
  Credentials credentials;
  std::string vm;
  std::string disk;  // empty: all
  Since since;
  bool fail_on_reset = false;
  bool enable_tracking = false;
  bool quiesce = false;
  std::string snapshot;  // of somebody else, to read: "current" or its moref; empty: make one
  TransportSettings transport;
  unsigned connections = 4;
  RetryPolicy retry;
  std::shared_ptr<Counters> counters = std::make_shared<Counters>();
};

struct Disk {
  std::string name;  // of the export: the device key
  DiskInfo info;     // as in the snapshot
  convention::Description description;
  DiskMap map;
  std::unique_ptr<DiskReader> reader;
};

class Source {
 public:
  // The settings must outlive it.
  Source(const Settings &settings, const util::Log &log);

  // Finds the machine, creates the snapshot, loads the maps, tries to read. When it throws (each
  // step with its own reason) the snapshot has been removed and the session closed.
  void start();

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
  std::vector<DiskInfo> choose(const VmInfo &vm) const;
  void check(const VmInfo &vm, const std::vector<DiskInfo> &chosen) const;
  void turn_tracking_on(VmInfo &vm);
  void check_chains(const VmInfo &vm, const std::vector<DiskInfo> &chosen) const;
  std::vector<DiskInfo> take_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  std::vector<DiskInfo> use_snapshot(const VmInfo &vm, const std::vector<DiskInfo> &chosen);
  std::vector<DiskInfo> disks_in(const Ref &snapshot, const std::vector<DiskInfo> &chosen);
  Disk load(const VmInfo &vm, const DiskInfo &info, const std::string &datacenter);

  const Settings &settings_;
  const util::Log log_;
  Client client_;
  const std::unique_ptr<Transport> transport_;
  std::optional<StartSignals> signals_;  // while there may be a snapshot and nbdkit is not ready
  std::optional<RunLock> lock_;
  std::optional<Snapshot> snapshot_;  // ours, if we made one
  Ref frozen_;                        // the snapshot that is read
  std::vector<Disk> disks_;
};

}  // namespace vsphere
