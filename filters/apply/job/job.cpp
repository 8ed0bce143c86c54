// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/job.hpp"

#include <utility>

namespace apply {

Job::Job(std::unique_ptr<Source> source, Settings settings, util::Log log, StateWriter::Clock clock)
    : context_(std::move(source), std::move(settings), std::move(log), std::move(clock)) {
  context_.stats.write();
}

Job::~Job() {
  context_.stats.write_anyway();
}

std::unique_ptr<JobClient> Job::join(DestinationDisk &destination) {
  context_.check(destination);
  context_.failure.check();
  auto client = std::make_unique<JobClient>(context_, destination);
  if (context_.verify && context_.settings.background) client->verify_in_background();
  return client;
}

void Job::tick() noexcept {
  context_.stats.write_if_due();
  JobStatus status = context_.status();
  std::string line = progress_line(status);
  if (status.clients == 0 && line == progress_) return;
  context_.log.info("{}", line);
  progress_ = std::move(line);
}

// nbdkit, while it ends, does not close the connection of a client whose handshake has failed.
void Job::finish() noexcept {
  if (context_.verify) context_.verify->end_background();
  if (context_.gate.clients() == 0 || !context_.clients_sent || context_.failure.failed()) return;
  const std::string what =
      context_.coverage.owed_bytes() > 0
          ? "the copy was not completed: " + context_.owed_text()
          : "the state may not have all that has arrived, or it was not compared to the end: run "
            "the same command again";
  context_.log.error("apply: a client has not left at the end: {}", what);
}

}  // namespace apply
