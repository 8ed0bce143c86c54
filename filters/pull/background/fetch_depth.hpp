// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <chrono>

namespace pull {

// How many chunks of the rest are fetched at the same time: as many as make it faster, at most as many as there are
// threads. A chunk takes longer the more others are under way as soon as they only stand in a queue somewhere: at the
// source, on the network, at the local disk. A few in the queue keep all of those busy; more would cost memory, and
// the client that comes then its time. (TCP Vegas does so with packets.) Not synchronised.
class FetchDepth {
 public:
  using Duration = std::chrono::steady_clock::duration;
  explicit FetchDepth(unsigned most) : most_(most), depth_(std::min(beside_client, most)) {}

  unsigned now() const { return depth_; }

  // A chunk has been fetched, and took so long. With a client: clients are being served.
  void fetched(Duration took, bool with_client) {
    if (with_client) {
      depth_ = std::min(beside_client, most_);
      usual_ = shortest_ = 0;
      return;
    }
    const double time = std::max(std::chrono::duration<double>(took).count(), 1e-9);
    usual_ = usual_ == 0 ? time : usual_ + (time - usual_) / smoothing;
    shortest_ = shortest_ == 0 ? time : std::min(shortest_, time);
    const double queued = depth_ * (1 - shortest_ / std::max(usual_, shortest_));
    if (queued < few) {
      depth_ = std::min(depth_ + 1, most_);
    } else if (queued > many && ++too_many_ >= depth_) {
      --depth_;
      too_many_ = 0;
    }
  }

 private:
  static constexpr unsigned beside_client = 2;
  static constexpr double few = 6, many = 12;  // chunks in a queue
  static constexpr double smoothing = 8;       // chunks, for what is usual

  const unsigned most_;
  unsigned depth_;
  unsigned too_many_ = 0;  // chunks with too many in the queue, since it was last made less
  double usual_ = 0, shortest_ = 0;  // seconds; 0: not known
};

}  // namespace pull
