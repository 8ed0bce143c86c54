// SPDX-License-Identifier: BSD-3-Clause
//
// The one job of an apply server: to bring one delta to one destination, through whatever clients
// connect.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/util/log.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/job/job_client.hpp"
#include "filters/apply/job/job_context.hpp"
#include "filters/apply/job/settings.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

// join() may be called from any thread.
class Job {
 public:
  // Locks and reads the state, loads the source's view, and checks that they belong together.
  // Throws util::Error. Writes nothing but the statistics, and leaves no thread running: a fork may
  // follow.
  Job(std::unique_ptr<Source> source, Settings settings, util::Log log,
      StateWriter::Clock clock = std::chrono::steady_clock::now);
  ~Job();
  Job(const Job &) = delete;
  Job &operator=(const Job &) = delete;

  // A client that reaches the destination through `destination`, which must outlive it. Waits while
  // the job is being completed, which then stops soon. Throws util::Error if the destination does
  // not suit the source, or the run has failed.
  std::unique_ptr<JobClient> join(DestinationDisk &destination);

  // Called every two seconds by one thread: logs a line of progress, and writes the statistics.
  void tick() noexcept;

  // The server ends: no client comes or leaves any more. Of one that has not left nothing is used from now on; it is an error
  // if the job was not completed because of that.
  void finish() noexcept;

 private:
  JobContext context_;
  std::string progress_;  // the last line; tick()'s alone
};

}  // namespace apply
