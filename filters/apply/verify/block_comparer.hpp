// SPDX-License-Identifier: BSD-3-Clause
//
// Trust, but check: compares blocks outside the delta, chosen by chance, between the source and the
// destination. One that differs means that the source left a change out, or that the destination is
// not what the state said.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/sample.hpp"
#include "filters/apply/disk/disk_bytes.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// Used by one thread at a time, but for what it tells.
class Verifier {
 public:
  static constexpr uint64_t block = 64u << 10;  // bytes

  // The mask must outlive it.
  Verifier(const Mask &mask, double share, uint64_t seed) : mask_(mask), choice_(share, seed) {}

  enum class End {
    finished,     // every chosen block is equal
    interrupted,  // stop() said so; to be gone on with later
    differs,
  };
  struct Result {
    End end;
    uint64_t offset = 0;  // differs: the first byte that does
  };
  // Goes on where it stopped. stop is asked between requests of at most 4 MiB. What a disk throws goes
  // on to the caller; the same blocks are then read again the next time.
  Result advance(Bytes &source, Bytes &destination, const std::function<bool()> &stop);

  bool finished() const { return finished_; }
  uint64_t compared_bytes() const { return compared_; }
  uint64_t compared_blocks() const { return blocks_; }

 private:
  bool gather();  // fills batch_; false if nothing is left
  std::optional<uint64_t> compare(const std::vector<std::byte> &a, const std::vector<std::byte> &b);
  std::vector<Read> reads_into(std::vector<std::byte> &buffer) const;

  const Mask &mask_;
  util::Choice choice_;
  uint64_t next_ = 0;                  // the block from which on nothing has been chosen
  std::vector<extents::Range> batch_;  // chosen, and not yet compared
  size_t batch_blocks_ = 0;
  std::atomic<bool> finished_ = false;
  std::atomic<uint64_t> compared_ = 0;  // bytes outside the delta
  std::atomic<uint64_t> blocks_ = 0;
};

}  // namespace apply
