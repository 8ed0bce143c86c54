// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>

#include "common/durability/flush_round.hpp"
#include "plugins/qcow2/file/image_file.hpp"

namespace qcow2 {

// Data that table entries in memory may already point to, and that is not in the file yet.
class PendingData {
 public:
  virtual ~PendingData() = default;
  // Writes to the file, without a sync, everything that was added before the call. Throws
  // util::Error; then nothing is lost, and the next call tries again.
  virtual void write_out() = 0;
};

// Syncs an image file. May be used from any thread.
class DataSync {
 public:
  // pending may be null. Both must outlive this.
  DataSync(const ImageFile &file, PendingData *pending)
      : round_([this] { sync(); }), file_(file), pending_(pending) {}

  // Writes the pending data out, then syncs the file: everything written before the call is durable
  // when it returns. Throws util::Error. Once a sync of the file has failed every call fails,
  // because the kernel reports a lost write only once.
  void run() { round_.run(); }

 private:
  void sync();

  durability::FlushRound<> round_;
  const ImageFile &file_;
  PendingData *const pending_;
  std::atomic<bool> failed_ = false;
};

}  // namespace qcow2
