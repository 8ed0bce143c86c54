// SPDX-License-Identifier: BSD-3-Clause
//
// What all clients of a job share: its parts, each of which may be used from any thread.
//
// Lock order: VerifySchedule, StateWriter (its file, then its claims), Coverage. StatsFile's lock
// comes before those of Coverage and ClientGate, which take no other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "common/replication/destination_image.hpp"
#include "common/stats/stats_file.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/log.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/digests/digest_recorder.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/job/client_gate.hpp"
#include "filters/apply/job/job_status.hpp"
#include "filters/apply/job/run_failure.hpp"
#include "filters/apply/job/settings.hpp"
#include "filters/apply/source/source.hpp"
#include "filters/apply/state/initial_state.hpp"
#include "filters/apply/state/state_writer.hpp"
#include "filters/apply/verify/verify_schedule.hpp"

namespace apply {

// Bytes of the clients' requests.
struct Traffic {
  std::atomic<uint64_t> written = 0;
  std::atomic<uint64_t> zeroed = 0;
  std::atomic<uint64_t> dropped = 0;  // outside the delta
};

struct JobContext {
  // See Job::Job().
  JobContext(std::unique_ptr<Source> source, Settings settings, util::Log log,
             StateWriter::Clock clock);
  JobContext(const JobContext &) = delete;
  JobContext &operator=(const JobContext &) = delete;

  // Throws util::Error EINVAL if the destination is too small for the source, its blocks are too
  // large for the delta, or it is not the image of the state; RunFailed if it is another copy of that image.
  void check(const DestinationDisk &destination);

  // Flushes the destination, which makes what was pending in the scope durable. If that throws, it
  // is missing.
  void flush(DestinationDisk &destination, Coverage::Scope scope);
  // Throws util::Error EIO: a flush has failed that need not be the caller's.
  [[noreturn]] static void fail_because_lost();

  // Before each change of the destination.
  void begin(const DestinationDisk &destination);

  JobStatus status() const;
  std::string owed_text() const;  // how much is owed, and what to do

  const Settings settings;
  const util::Log log;
  const util::FileLock state_lock;
  const std::unique_ptr<Source> source;
  const DeltaView view;
  Coverage coverage;
  const InitialState header;  // see initial_state()
  replication::DestinationImage image;
  StateWriter state;
  const Coverage::Scope shared_scope;  // of all connections, where a flush covers all
  RunFailure failure;
  Traffic traffic;
  std::atomic<bool> clients_sent = false;  // a request, since the job was completed the last time
  ClientGate gate;
  std::unique_ptr<VerifySchedule> verify;   // empty: nothing is compared
  std::unique_ptr<DigestRecorder> digests;  // empty: none are kept
  stats::StatsFile stats;

 private:
  std::unique_ptr<VerifySchedule> make_verify();
  void fail_because_different(uint64_t offset) noexcept;
  // The run has failed, and the state says that the whole disk is owed. reason: without what to do.
  void fail_and_require_full_copy(std::string reason) noexcept;
  StateWriter::Confirm make_confirm();
  void confirm_source();  // throws RunFailed, and the run has failed
};

}  // namespace apply
