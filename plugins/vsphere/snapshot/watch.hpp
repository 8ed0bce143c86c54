// SPDX-License-Identifier: BSD-3-Clause
//
// Whether the snapshot that is read is still there. Who removes it (an administrator, another product)
// does not tell its reader: the files of the disks are then written to while they are read.
//
// What is guaranteed: what was read before a confirm() that succeeded was read while the server still
// showed the snapshot, so it is of the snapshot's instant.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "common/durability/flush_round.hpp"
#include "common/util/error.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"

namespace vsphere {

// The snapshot is gone. That has been logged already, once, when it became known.
class SnapshotGone : public util::Error {
 public:
  explicit SnapshotGone(const std::string &message) : Error(EIO, message) {}
};

// Any thread may use it, but start() and stop() one at a time.
class SnapshotWatch {
 public:
  // `exists` asks the server whether the snapshot is still there; it throws if there is no answer to that,
  // and must have a deadline. No two calls run at the same time. `gone` is the message of SnapshotGone, and
  // what is logged as an error.
  SnapshotWatch(std::function<bool()> exists, std::string gone, const util::Log &log)
      : exists_(std::move(exists)), gone_text_(std::move(gone)), log_(log) {}
  ~SnapshotWatch() { stop(); }

  // Asks every so often, on a thread of its own, from now on until stop(). If there is no answer the
  // pauses become longer, up to five minutes. Called once.
  void start(std::chrono::milliseconds interval);
  // On return no call of exists() is under way, and none follows: confirm() throws. `interrupt`, if given,
  // makes one that is under way return soon. May be called again, and without start().
  void stop(const std::function<void()> &interrupt = {});

  // Throws SnapshotGone if that is known. Does not ask.
  void check() const;
  // Asks, and returns if the snapshot is there. Throws SnapshotGone; or what exists() threw, and then
  // nothing is known. A question of several threads is asked once.
  void confirm();
  // Something is wrong with the reads: the thread of start() asks at once.
  void suspect();

 private:
  void ask();
  void run(std::chrono::milliseconds interval);

  const std::function<bool()> exists_;
  const std::string gone_text_;
  const util::Log log_;

  durability::FlushRound<> round_{[this] { ask(); }};  // one question at a time
  std::atomic<bool> gone_ = false;
  std::atomic<bool> closed_ = false;

  // Used by the question under way. After a refused login none is asked for five minutes: that could lock
  // the account.
  std::exception_ptr refusal_;
  std::chrono::steady_clock::time_point refused_until_;

  std::thread thread_;
  util::Mutex mutex_;
  util::Condition changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool suspected_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace vsphere
