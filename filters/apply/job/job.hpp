// SPDX-License-Identifier: BSD-3-Clause
//
// The one job of an apply server: to bring one delta to one destination, by whatever clients come.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "common/replication/state_file.hpp"
#include "common/stats/stats_file.hpp"
#include "common/util/fd.hpp"
#include "common/util/log.hpp"
#include "filters/apply/verify/verify_schedule.hpp"
#include "filters/apply/job/completer.hpp"
#include "filters/apply/delta/coverage.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/state/state_writer.hpp"
#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

struct Settings {
  std::string state_path;
  std::string destination = {};  // its name, in the state; empty: it has none
  double verify = 0;             // the share of what is outside the delta that is compared; 0: none
  bool background = true;        // threads of ours may use a client's destination
  std::string stats_path = {};   // empty: no statistics
};

// May be used from any thread; each client's methods from many at once.
class Job {
 public:
  // A connection, from join() to finish() or its destruction.
  class Client;

  // Locks and reads the state, loads the view, checks that they belong together. Throws
  // util::Error. Nothing is written, and no thread is left running: a fork may follow.
  Job(std::unique_ptr<Source> source, Settings settings, util::Log log,
      Keeper::Clock clock = std::chrono::steady_clock::now);
  ~Job();

  uint64_t source_size() const { return mask_.size(); }  // bytes

  // For a client that reaches the destination in its own way, which must outlive it. Throws
  // util::Error if the destination is too small, or the run has failed. Waits while a completion is
  // under way, which then stops soon.
  std::unique_ptr<Client> join(Destination &destination);

  // Every two seconds: a line of progress, the statistics.
  void tick() noexcept;

 private:
  friend class Client;

  void start_verifying();
  void leave();
  void check_destination(const Destination &destination) const;
  void complete(Client &client, bool active);
  void verify_rest(Client &client);
  void condemn(uint64_t offset) noexcept;
  void check_not_failed() const;
  Completer::Missing missing() const;
  std::string statistics() const;
  bool silent_client_finished(Completer &completer) const;
  void report(const Completer::Result &result, bool active);
  [[noreturn]] void rethrow(const std::exception_ptr &failure) const;  // with owed_text()
  std::string owed_text() const;

  const Settings settings_;
  const util::Log log_;
  const util::Fd lock_fd_;
  const std::unique_ptr<Source> source_;
  const View view_;
  const Mask &mask_;
  Coverage coverage_;
  Keeper keeper_;
  const Coverage::Stream shared_stream_;
  std::unique_ptr<Auditor> auditor_;  // nothing if nothing is verified
  stats::StatsFile stats_;

  std::atomic<uint64_t> written_ = 0;  // bytes that clients brought
  std::atomic<uint64_t> zeroed_ = 0;
  std::atomic<uint64_t> dropped_ = 0;  // bytes of requests that are not in the delta
  std::atomic<bool> active_ = false;   // a client has sent something since the last completion

  std::atomic<size_t> waiting_ = 0;  // clients that wait for the completion to stop

  std::atomic<bool> failed_ = false;  // failure_ is there, and no request is served any more
  std::string failure_;               // set once, before failed_
  std::string progress_;              // tick()'s alone

  mutable std::mutex lock_;  // protects the three below; held for no I/O
  std::condition_variable completed_;
  size_t clients_ = 0;
  bool completing_ = false;
};

class Job::Client {
 public:
  Client(Job &job, Destination &destination);
  ~Client();

  // What is in the delta goes on to the destination, the rest is dropped. Throws util::Error EIO once
  // the run has failed; so does flush().
  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua);
  void zero(extents::Range range, ZeroFlags flags);

  // Afterwards what this client (and where a flush covers all, any) was told is done is durable,
  // and the state may say so.
  void flush();

  // The client has gone. If it was the last one, the delta is completed. Throws util::Error, with
  // what to do, if something stays owed after clients have written.
  void finish();

 private:
  friend class Job;
  class Request;
  void flush_pending();
  void end_request(bool fua, bool passed_on);

  Job &job_;
  Destination &destination_;
  const bool own_stream_;
  const Coverage::Stream stream_;
  bool joined_ = false;
  std::unique_ptr<Auditor::Background> background_;
};

}  // namespace apply
