// SPDX-License-Identifier: BSD-3-Clause
//
// Digests of the destination as of the point that the run copies to (apply-digests=), taken of what clients send, where
// it is sent in whole blocks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/extents/extent.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/digests/known_blocks.hpp"
#include "filters/apply/digests/point_digests.hpp"
#include "filters/apply/disk/destination_disk.hpp"

namespace apply {

struct Recording;

// May be used from any thread. A failure harms no copy: it is logged once, and there will be no digests.
class DigestRecorder {
 public:
  // path and parent: see PointDigests. The map must outlive it. Throws util::Error if nothing can be written where
  // path lies.
  DigestRecorder(std::string path, std::string parent, const DeltaMap &map, std::string held,
                 std::string checkpoint, util::Log log);
  ~DigestRecorder();

  // Before each change of the destination and of the state; the first call begins the file, of the destination as
  // it is then.
  void begin(const DestinationDisk &destination) noexcept ABSL_LOCKS_EXCLUDED(opening_);

  class Request;

  // When the state owes nothing, and no request is under way: the digests that are not known are taken from the base,
  // or computed from what is read of the destination, by so many threads beside the caller. Then the file is
  // complete, durably. False if stop() has told to stop before that: the next call goes on. stop is called by the
  // caller's thread alone, between reads of at most 1 MiB.
  bool complete(DestinationDisk &destination, unsigned threads, const std::function<bool()> &stop)
      ABSL_LOCKS_EXCLUDED(opening_);

 private:
  // Null before begin(), and after a failure.
  Recording *recording() const { return failed_ ? nullptr : ready_.load(); }
  // Before a request: a file that was complete is no longer.
  void reopen() noexcept ABSL_LOCKS_EXCLUDED(opening_);
  void fail(const std::exception_ptr &why) noexcept;

  const std::string path_, parent_;
  const DeltaMap &map_;
  const std::string held_, checkpoint_;
  const util::Log log_;

  util::Mutex opening_;  // held while files are opened, completed and reopened
  std::unique_ptr<Recording> made_ ABSL_GUARDED_BY(opening_);  // set once
  std::atomic<Recording *> ready_ = nullptr;
  std::atomic<bool> completed_ = false;
  std::atomic<bool> failed_ = false;
};

// A request to the destination, from before it is sent until its answer is known. `recorder` may be null.
class DigestRecorder::Request {
 public:
  Request(DigestRecorder *recorder, extents::Range range) noexcept;
  ~Request();
  Request(const Request &) = delete;
  Request &operator=(const Request &) = delete;

  // It has succeeded; else nothing is known of its blocks.
  void wrote(std::span<const std::byte> bytes) noexcept;
  void zeroed() noexcept;

 private:
  template <typename DigestOf>
  void write(DigestOf &&digest_of) noexcept;

  DigestRecorder *const recorder_;
  Recording *const recording_;  // null: nothing is recorded
  const extents::Range range_;
  KnownBlocks::Op op_;
  BlockRange written_{0, 0};
};

}  // namespace apply
