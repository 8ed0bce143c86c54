// SPDX-License-Identifier: BSD-3-Clause
//
// When the verifier runs: beside the clients as long as there are any, and to its end when the last
// one has gone.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "common/util/log.hpp"
#include "filters/apply/disk/destination_disk.hpp"
#include "filters/apply/source/source.hpp"
#include "filters/apply/verify/block_comparer.hpp"

namespace apply {

// May be used from any thread.
class Auditor {
 public:
  struct Means {
    std::function<std::unique_ptr<Bytes>()> honest;  // the source's bytes
    std::function<void(uint64_t offset)> differs;    // told once; must not throw
  };
  Auditor(const Mask &mask, double share, uint64_t seed, Means means, util::Log log)
      : verifier_(mask, share, seed), means_(std::move(means)), log_(std::move(log)) {}

  // Compares in a thread of its own, through the destination as one client reaches it, until it is
  // finished or this is destroyed, which waits for the reads under way (each has a deadline). One
  // client at a time has one; for the others there is none.
  class Background;
  std::unique_ptr<Background> beside(Destination &destination);

  // Compares what is left, until stop() says that somebody waits. Throws what a disk throws.
  void advance(Destination &destination, const std::function<bool()> &stop);

  bool finished() const { return verifier_.finished(); }
  uint64_t compared_bytes() const { return verifier_.compared_bytes(); }
  uint64_t compared_blocks() const { return verifier_.compared_blocks(); }

 private:
  std::mutex
      verifying_;  // one at a time; protects the two below, so it is held during I/O: who waits
                   // for it waits for the end of a batch
  Verifier verifier_;
  std::unique_ptr<Bytes> source_;
  const Means means_;
  const util::Log log_;
  std::atomic<bool> taken_ = false;  // there is a Background
  std::atomic<bool> different_ = false;
};

class Auditor::Background {
 public:
  Background(Auditor &auditor, Destination &destination);
  ~Background();
  Background(const Background &) = delete;
  Background &operator=(const Background &) = delete;

 private:
  Auditor &auditor_;
  std::jthread thread_;
};

}  // namespace apply
