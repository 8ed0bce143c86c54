// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients of one nbdkit share: the destinations. They are open from the first client until
// the last has gone and what is owed has been drained.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/fanout/active_slots.hpp"
#include "filters/fanout/broadcast/broadcaster.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/held_export.hpp"
#include "filters/fanout/primary_readers.hpp"
#include "filters/fanout/settings.hpp"
#include "filters/fanout/statistics.hpp"

namespace fanout {

// May be used from any thread.
class FanoutServer {
 public:
  // Reads the state files, probes the destinations, and writes the statistics for the first time.
  // Leaves no thread behind. Throws util::Error.
  FanoutServer(const Settings &settings, util::Log log);
  ~FanoutServer();

  // How the primary, of at least so many bytes, is read when there is no client. May return nothing or throw: then
  // the last client waits until everything is drained.
  using OpenBackgroundReader = std::function<PrimaryReaders::Read(uint64_t primary_size)>;
  // After the fork: starts the thread that drains.
  void start(OpenBackgroundReader open_background_reader);

  // A client of the export has come; `read` must work until leave() returns. The first client opens
  // the destinations: throws if one cannot be opened or does not fit. Throws EINVAL if the primary had another size
  // then. A client of an export that the destinations do not hold gets nothing, and cannot write.
  std::optional<PrimaryReaders::Id> join(uint64_t primary_size, const std::string &export_name,
                                         PrimaryReaders::Read read) ABSL_LOCKS_EXCLUDED(mutex_);
  // After the last client what is owed is drained, in the background if the primary can be read
  // without a client; until nothing is owed, another client comes, or drain_timeout has passed.
  void leave(PrimaryReaders::Id id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until that is over. No client may come any more; one that has not left is forgotten.
  void finish() ABSL_LOCKS_EXCLUDED(mutex_);

  // Before the first write of a client: throws EINVAL if the destinations hold another export.
  void claim(const std::string &export_name) ABSL_LOCKS_EXCLUDED(mutex_);

  Broadcaster &broadcaster() { return *broadcaster_; }
  void tick() noexcept;  // every two seconds

 private:
  void log_active(size_t number, size_t active) const;
  void open(uint64_t primary_size, const std::string &export_name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void check_size(uint64_t primary_size) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void close();
  void forget_clients(util::MutexLock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void drain(util::MutexLock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool read_in_background(std::string_view consequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool drain_in_background() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void run_drainer() ABSL_LOCKS_EXCLUDED(mutex_);
  bool all_at_end() const;
  bool anything_to_copy() const;

  const std::chrono::milliseconds drain_timeout_;
  const util::Log log_;
  PrimaryReaders readers_;
  CountersList counters_;
  std::unique_ptr<ActiveSlots> slots_;
  DestinationList destinations_;
  Statistics statistics_;
  std::optional<Broadcaster> broadcaster_;
  OpenBackgroundReader open_background_reader_;

  // Held while the destinations are opened and closed, because a client that comes meanwhile needs
  // them open. Lock order: this one, then those of the destinations (destination/data.hpp).
  util::Mutex mutex_;
  util::Condition changed_;
  HeldExport export_ ABSL_GUARDED_BY(mutex_);
  uint64_t size_ ABSL_GUARDED_BY(mutex_) = 0;  // of the primary, while they are open
  size_t clients_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool drain_wanted_ ABSL_GUARDED_BY(mutex_) = false;  // of the drainer
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<PrimaryReaders::Id> background_
      ABSL_GUARDED_BY(mutex_);      // while the drainer drains
  std::atomic<bool> open_ = false;  // changed under mutex_
  std::thread drainer_;
};

}  // namespace fanout
