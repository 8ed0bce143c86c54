// SPDX-License-Identifier: BSD-3-Clause
//
// What the parts of a destination share, under one lock. The parts are the free functions of this
// folder: those for clients' requests (requests.hpp) run on nbdkit's threads, the others on the
// destination's own thread (runner.hpp) or on the server's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/durability/flush_round.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/fanout/active_slots.hpp"
#include "filters/fanout/catch_up/copier.hpp"
#include "filters/fanout/catch_up/write_buffers.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/destination/state.hpp"
#include "filters/fanout/owed/ledger.hpp"
#include "filters/fanout/owed/owed_file.hpp"
#include "filters/fanout/primary_readers.hpp"
#include "filters/fanout/server/connection.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

// What a destination uses of the server. The references must outlive it.
struct Environment {
  PrimaryReaders &primary;
  ActiveSlots &slots;
  std::function<std::unique_ptr<Target>(const DestinationSettings &)> connect;
  util::Log log;
  std::function<void()> ended;  // at_end() may have changed. From any thread, no lock is held.
};

struct DestinationData {
  using Clock = DestinationState::Clock;
  using State = DestinationState::State;

  // Reads the state file. Throws util::Error.
  DestinationData(size_t place_in_list, DestinationSettings its_settings,
                  const std::string &state_directory, Counters &its_counters,
                  Environment its_environment);

  const std::string &name() const { return settings.name; }
  bool async() const { return settings.policy.async; }

  // Logs a line about the destination as soon as the lock is released.
  void note(util::Level level, std::string text) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The same about `reason`: if the log has that already, for those who want to know all (info).
  void note_reason(util::Level level, std::string text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Whatever begins with the name: without it.
  std::string without_name(std::string text) const;
  // "N bytes are owed".
  std::string owed_text() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // A destination converges once it owes no more blocks than this: few enough that a client may
  // wait for them, at most what the rate allows in a second.
  uint64_t converging_limit() const;

  const size_t place;  // in the command line's order
  const DestinationSettings settings;
  Counters &counters;
  const Environment environment;
  OwedFile owed_file;  // has locks of its own; lock order: its locks, then `mutex`
  Copier copier;       // the destination's thread's alone

  // Lock order: FanoutServer's, OwedFile's, this one, then those of PrimaryReaders and ActiveSlots.
  // Not held for any I/O, nor while anything is logged.
  mutable util::Mutex mutex;
  mutable util::Condition changed;  // something that `mutex` guards
  mutable std::vector<std::pair<util::Level, std::string>> notes ABSL_GUARDED_BY(mutex);

  DestinationState state ABSL_GUARDED_BY(mutex);
  Ledger ledger ABSL_GUARDED_BY(mutex){0};
  WriteBuffers write_buffers ABSL_GUARDED_BY(mutex);
  // Requests under way share the connection; one that was dropped is destroyed by the destination's
  // thread or close(), without the lock, because that waits for its requests.
  std::shared_ptr<DestinationConnection> connection ABSL_GUARDED_BY(mutex);
  std::vector<std::shared_ptr<DestinationConnection>> dropped ABSL_GUARDED_BY(mutex);
  std::optional<nbd::Info> info ABSL_GUARDED_BY(mutex);  // of the last server that was connected
  std::string reason ABSL_GUARDED_BY(mutex);             // of the last failure
  std::string said ABSL_GUARDED_BY(mutex);  // the reason that the log has since it was connected
  bool told_detached ABSL_GUARDED_BY(mutex) = false;  // the log has that, since it was connected
  bool told_no_flush ABSL_GUARDED_BY(mutex) = false;
  // That the file cannot be saved, and whether it owes enough; until it has been saved.
  std::optional<bool> told_unsaved ABSL_GUARDED_BY(mutex);
  int errnum ABSL_GUARDED_BY(mutex) = 0;  // of the last failure, for clients
  std::atomic<bool> failed = false;       // state is failed: clients get an error

  bool open ABSL_GUARDED_BY(mutex) = false;      // between open() and close()
  bool stopping ABSL_GUARDED_BY(mutex) = false;  // close() has begun
  bool has_slot ABSL_GUARDED_BY(mutex) = false;
  bool modified ABSL_GUARDED_BY(mutex) = false;  // a client has changed the primary since open()
  // Nearly caught up: requests for clean ranges are sent directly, others wait for what is being
  // copied. So a block that is written all the time is caught up as well.
  bool converging ABSL_GUARDED_BY(mutex) = false;
  bool pass_failed ABSL_GUARDED_BY(mutex) = false;  // a copy of this pass has failed
  bool draining ABSL_GUARDED_BY(mutex) = false;     // the last client has gone
  bool verified ABSL_GUARDED_BY(mutex) = false;     // or nothing is to be verified
  bool last_try ABSL_GUARDED_BY(mutex) = false;  // detached, and still to be tried while draining
  bool unsaved ABSL_GUARDED_BY(mutex) = false;   // the state file owes more than necessary
  // What clients have changed since the last save. It stays in the file, which would otherwise be
  // written again and again for a region that is written all the time.
  DirtyMap recent ABSL_GUARDED_BY(mutex);
  // What is not owed is equal, as an earlier run has left it or a spot check has found it. Else the
  // destination is new, and clients may still be making it equal.
  bool relied_on ABSL_GUARDED_BY(mutex) = false;
  bool spot_check_due ABSL_GUARDED_BY(mutex) = false;  // spot_check.hpp
  // Events that made dirty what the state file may not owe, and how many of them it knows of.
  uint64_t losses ABSL_GUARDED_BY(mutex) = 0;
  uint64_t syncs_noted ABSL_GUARDED_BY(mutex) = 0;  // of failed_syncs() of the connection
  uint64_t losses_saved ABSL_GUARDED_BY(mutex) = 0;
  durability::FlushRound<> loss_saves;  // save_at_risk(); its lock comes before all of these
  std::pair<int, std::string> loss_failure
      ABSL_GUARDED_BY(mutex);  // errno value, text; of the last
  // When the thread tries that again after an error, which it has logged.
  std::optional<Clock::time_point> losses_due ABSL_GUARDED_BY(mutex);
  Clock::time_point save_due ABSL_GUARDED_BY(mutex){};

  // For the log: the counters at open(), and when they were last sampled.
  struct {
    Clock::time_point time;
    uint64_t bytes, zero_bytes, requests, retries;
  } start ABSL_GUARDED_BY(mutex){};
  struct {
    Clock::time_point time;
    uint64_t bytes;  // written and zeroed
    uint64_t bytes_per_second;
  } sample ABSL_GUARDED_BY(mutex){};
};

// Holds the lock; logs the notes after it is released.
class ABSL_SCOPED_LOCKABLE DestinationLock {
 public:
  explicit DestinationLock(const DestinationData &d) ABSL_EXCLUSIVE_LOCK_FUNCTION(d.mutex);
  ~DestinationLock() ABSL_UNLOCK_FUNCTION();
  DestinationLock(const DestinationLock &) = delete;
  DestinationLock &operator=(const DestinationLock &) = delete;

  // For a notification of `changed`, for which the lock is released.
  void wait() { data_.changed.wait(lock_); }
  void wait_until(DestinationData::Clock::time_point time) {
    data_.changed.wait_until(lock_, time);
  }

 private:
  const DestinationData &data_;
  util::MutexLock lock_;
};

// As ABSL_UNLOCK_FUNCTION; but with that one clang does not see that a destructor takes the lock
// again.
#ifdef __clang__
#define FANOUT_RELEASES(mutex) __attribute__((release_capability(mutex)))
#else
#define FANOUT_RELEASES(mutex)
#endif

// The reverse: releases the lock that the caller holds, logs the notes, and takes it again at the
// end.
class ABSL_SCOPED_LOCKABLE DestinationUnlock {
 public:
  explicit DestinationUnlock(const DestinationData &d) FANOUT_RELEASES(d.mutex);
  ~DestinationUnlock() ABSL_UNLOCK_FUNCTION();
  DestinationUnlock(const DestinationUnlock &) = delete;
  DestinationUnlock &operator=(const DestinationUnlock &) = delete;

 private:
  const DestinationData &data_;
};

inline double seconds_of(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace fanout
