// SPDX-License-Identifier: BSD-3-Clause
//
// When blocks are compared (apply-verify=): in the background as long as there are clients, and the
// rest when the last one has gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/source/source.hpp"
#include "filters/apply/verify/block_comparer.hpp"

namespace apply {

// May be used from any thread.
class VerifySchedule {
 public:
  // Called once, with the offset of the first byte that differs, by the thread that compares. Must
  // not throw.
  using OnDifference = std::function<void(uint64_t offset)>;

  // What it means that a disk cannot be read.
  enum class Failures {
    errors,  // they go to the caller of advance(), and the next call goes on
    end_it,  // nothing more is compared, and the log says so; not an error
  };

  // The source and its view must outlive it.
  VerifySchedule(Source &source, const DeltaView &view, double share, uint64_t seed,
                 Failures failures, OnDifference on_difference, util::Log log);

  // A thread that compares, through the destination as one client reaches it, until all is compared
  // or the Background is destroyed. The destructor waits for the reads under way, each of which has
  // a timeout. There is one at a time: nullptr for the other clients.
  class Background;
  std::unique_ptr<Background> run_in_background(DestinationDisk &destination);
  // Ends that thread although its Background is there, and may be for ever. None is made or destroyed meanwhile.
  void end_background();

  // Compares what is left, until stop() returns true. Throws what a disk throws (Failures::errors).
  void advance(DestinationDisk &destination, const std::function<bool()> &stop)
      ABSL_LOCKS_EXCLUDED(mutex_);

  bool finished() const { return comparer_.finished() || ended_; }
  uint64_t compared_bytes() const { return comparer_.compared_bytes(); }

 private:
  void compare(DestinationDisk &destination, const std::function<bool()> &stop)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Source &source_;
  const DeltaView &view_;
  const Failures failures_;
  const OnDifference on_difference_;
  const util::Log log_;
  std::atomic<bool> has_background_ = false;
  std::atomic<bool> differs_ = false;
  std::atomic<bool> ended_ = false;  // by a failure

  // Held while blocks are read and compared: a second thread waits until the first is told to stop,
  // at the end of a batch. on_difference_ is called under it. It guards BlockComparer::advance()
  // too.
  util::Mutex mutex_;
  BlockComparer comparer_;
  std::unique_ptr<DiskBytes> honest_ ABSL_GUARDED_BY(mutex_);  // empty: not connected
  std::jthread thread_;  // of the Background; last: it uses the others
};

class VerifySchedule::Background {
 public:
  Background(VerifySchedule &schedule, DestinationDisk &destination);
  ~Background();
  Background(const Background &) = delete;
  Background &operator=(const Background &) = delete;

 private:
  VerifySchedule &schedule_;
};

}  // namespace apply
