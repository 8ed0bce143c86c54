// SPDX-License-Identifier: BSD-3-Clause
//
// What is done after the last client, while no new one is let in.
#pragma once

#include <exception>
#include <functional>

#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/job/job_context.hpp"
#include "filters/apply/job/zero_filler.hpp"

namespace apply {

// Writes the zeroes that are missing, flushes, saves the state, compares the rest of the blocks
// that apply-verify= wants, and completes the digests. Used once.
class Completion {
 public:
  // Of the last client. All of them must outlive it.
  Completion(JobContext &context, DestinationDisk &destination, Coverage::Scope scope)
      : context_(context), destination_(destination), scope_(scope) {}

  // `clients_sent`: whether clients have sent requests since the last completion. If they have,
  // throws util::Error if something stays owed or could not be compared. If not, does nothing
  // unless all that is missing is zero. Stops early, without an error, if a new client waits. The
  // state file stays as it is if nothing was changed, and something is missing.
  // `failure`: of the last client's flush; then the state is saved, and it is thrown.
  void run(bool clients_sent, std::exception_ptr failure = {});

 private:
  bool only_zeroes_missing(ZeroFiller &filler) const;
  ZeroFiller::Missing missing() const;
  void save(const std::exception_ptr &failure) const;
  void log(const std::exception_ptr &failure) const;
  void report(const ZeroFiller::Result &result, bool clients_sent) const;
  void fail_if_lost() const;  // throws util::Error if a flush has failed: nobody has left early
  void verify_rest() const;
  void complete_digests() const;
  [[noreturn]] void rethrow(const std::exception_ptr &failure) const;  // with owed_text()

  JobContext &context_;
  DestinationDisk &destination_;
  const Coverage::Scope scope_;
  const std::function<bool()> stop_ = [this] { return context_.gate.waiting(); };
};

}  // namespace apply
