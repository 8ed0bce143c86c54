// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "common/extents/extent.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/job/job_context.hpp"
#include "filters/apply/verify/verify_schedule.hpp"

namespace apply {

// The requests of one connection. Several threads may use it at the same time, until finish().
class JobClient {
 public:
  // See Job::join(). The context must outlive it.
  JobClient(JobContext &context, DestinationDisk &destination);
  // Without finish() the job is not completed.
  ~JobClient();
  JobClient(const JobClient &) = delete;
  JobClient &operator=(const JobClient &) = delete;

  // Compares blocks in the background as long as this client is connected, unless another client
  // does.
  void verify_in_background();

  // What is in the delta is passed on to the destination, the rest is dropped. Throws util::Error
  // EIO once the run has failed, and so does flush().
  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua);
  void zero(extents::Range range, ZeroFlags flags);

  // What this client had been answered before (any client, where a flush covers all) is durable
  // afterwards, and the state file may say so. Throws util::Error EIO if any client's flush has failed since the
  // last call: what this one has written may be lost.
  void flush();

  // The connection ends. If it was the last one, the delta is completed (completion.hpp), and an
  // exception says what stays owed.
  void finish();

 private:
  class Request;

  void make_durable(uint64_t failures);
  bool hear_of_failures();

  JobContext &context_;
  DestinationDisk &destination_;
  const bool own_scope_;  // a flush of this connection covers this connection alone
  const Coverage::Scope scope_;
  std::atomic<uint64_t> failures_heard_;  // of Coverage::failed_flushes()
  bool finished_ = false;
  std::unique_ptr<VerifySchedule::Background> background_;
};

}  // namespace apply
