// SPDX-License-Identifier: BSD-3-Clause
//
// The state file while the server runs. Two rules: what a client has flushed is not owed any more when its
// flush is answered, for else it would be fetched again after a crash, and lost; and the file says that the
// destination was written to before the first change of a client.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "common/durability/flush_round.hpp"
#include "common/replication/state_file.hpp"
#include "filters/pull/chunks/presence.hpp"

namespace pull {

// May be used from any thread.
class StateSaver {
 public:
  // presence must outlive it. path: empty if the layer below keeps the state; then nothing is written.
  StateSaver(std::string path, replication::State header, const Presence &presence);

  // Once, before the other functions: the image that the destination is, and the first save. Throws util::Error.
  void begin(const std::string &image);

  // Before a change of a client. The first one saves that there is one. Throws util::Error; then nothing may be changed.
  void claim_written() {
    if (!is_written_) claim();
  }

  // Returns when the file says at least all that was durable at the call. Throws util::Error.
  void save();
  // What is durable has changed since it was saved.
  bool is_behind() const { return saved_ != presence_.changes(); }
  // Whether the file says that nothing of the range is owed.
  bool is_saved(extents::Range range) const { return presence_.is_durable(range, saved_); }
  // How long the last save took.
  std::chrono::milliseconds took() const { return std::chrono::milliseconds(took_); }

 private:
  void claim();
  void write();

  const std::string path_;
  const Presence &presence_;
  durability::FlushRound<> rounds_;
  std::atomic<int> claims_ = 0;  // callers of claim_written() who wait
  // Changed within a round alone.
  replication::State header_;
  std::atomic<bool> is_written_;
  std::atomic<uint64_t> saved_;  // Presence::changes() of what the file says
  std::atomic<int64_t> took_ = 0;
};

}  // namespace pull
