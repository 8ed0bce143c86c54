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

#include "common/convention/state.hpp"
#include "common/util/fd.hpp"
#include "common/util/log.hpp"
#include "filters/apply/completer.hpp"
#include "filters/apply/coverage.hpp"
#include "filters/apply/destination.hpp"
#include "filters/apply/keeper.hpp"
#include "filters/apply/mask.hpp"
#include "filters/apply/source.hpp"

namespace apply {

// May be used from any thread; each client's methods from many at once.
class Job {
 public:
  // A connection, from join() to finish() or its destruction.
  class Client;

  // Locks and reads the state, loads the view, checks that they belong together. Throws
  // util::Error. Nothing is written, and no thread is left running: a fork may follow.
  Job(std::unique_ptr<Source> source, std::string state_path, util::Log log,
      Keeper::Clock clock = std::chrono::steady_clock::now);

  uint64_t source_size() const { return mask_.size(); }  // bytes

  // Throws util::Error if the destination (of so many bytes) is too small. flush_covers_all: a
  // flush on any connection covers what others have written. Waits while a completion is under way,
  // which then stops soon.
  std::unique_ptr<Client> join(uint64_t destination_size, bool flush_covers_all);

 private:
  friend class Client;

  void leave();
  void complete(Client &client, Destination &destination, bool active);
  bool silent_client_finished(Completer &completer, const std::vector<Piece> &missing) const;
  void report(const Completer::Result &result, bool active);
  [[noreturn]] void rethrow(const std::exception_ptr &failure) const;  // with owed_text()
  std::string owed_text() const;

  const std::string state_path_;
  const util::Log log_;
  const util::Fd lock_fd_;
  const std::unique_ptr<Source> source_;
  const View view_;
  const Mask mask_;
  Coverage coverage_;
  Keeper keeper_;
  const Coverage::Stream shared_stream_;

  std::atomic<uint64_t> written_ = 0;  // bytes that clients brought
  std::atomic<uint64_t> zeroed_ = 0;
  std::atomic<uint64_t> dropped_ = 0;  // bytes of requests that are not in the delta
  std::atomic<bool> active_ = false;   // a client has sent something since the last completion

  std::atomic<size_t> waiting_ = 0;  // clients that wait for the completion to stop

  std::mutex lock_;  // protects the three below; held for no I/O
  std::condition_variable completed_;
  size_t clients_ = 0;
  bool completing_ = false;
};

class Job::Client {
 public:
  Client(Job &job, Coverage::Stream stream, bool own_stream)
      : job_(job), stream_(stream), own_stream_(own_stream) {}
  ~Client();

  // What is in the delta goes on to the destination, the rest is dropped.
  void write(Destination &destination, std::span<const std::byte> buffer, uint64_t offset,
             bool fua);
  void zero(Destination &destination, extents::Range range, ZeroFlags flags);

  // Afterwards what this client (and where a flush covers all, any) was told is done is durable,
  // and the state may say so.
  void flush(Destination &destination);

  // The client has gone. If it was the last one, the delta is completed. Throws util::Error, with
  // what to do, if something stays owed after clients have written.
  void finish(Destination &destination);

 private:
  friend class Job;
  class Request;
  void flush_pending(Destination &destination);
  void end_request(Destination &destination, bool fua, bool passed_on);

  Job &job_;
  const Coverage::Stream stream_;
  const bool own_stream_;
  bool joined_ = false;
};

}  // namespace apply
