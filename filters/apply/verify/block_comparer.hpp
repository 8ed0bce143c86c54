// SPDX-License-Identifier: BSD-3-Clause
//
// Compares blocks outside the delta, chosen at random, between the source and the destination
// (apply-verify=). If one differs, the source left a change out, or the destination is not what the
// state said.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/sample.hpp"
#include "filters/apply/delta/delta_map.hpp"
#include "filters/apply/disk/disk_bytes.hpp"

namespace apply {

// Used by one thread at a time; finished() and what was compared may be asked from any thread.
class BlockComparer {
 public:
  static constexpr uint64_t block = 64u << 10;  // bytes

  // Of the blocks that are not wholly in the delta, the first and the last are chosen, and each other
  // one with the probability `share`. The map must outlive it.
  BlockComparer(const DeltaMap &map, double share, uint64_t seed);

  enum class End {
    finished,     // all chosen blocks are equal
    interrupted,  // stop() returned true; the next call continues here
    differs,
  };
  struct Result {
    End end;
    uint64_t offset = 0;  // differs: of the first byte that does
  };
  // Continues where the last call stopped. stop is called between requests, which are of at most 4
  // MiB. What a disk throws goes to the caller; the next call reads the same blocks again.
  Result advance(DiskBytes &source, DiskBytes &destination, const std::function<bool()> &stop);

  bool finished() const { return finished_; }
  uint64_t compared_bytes() const { return compared_bytes_; }
  uint64_t compared_blocks() const { return compared_blocks_; }

 private:
  bool choose_batch();  // false if no block is left
  std::vector<DiskRead> reads_into(std::vector<std::byte> &buffer) const;
  // The offset of the first byte outside the delta that differs.
  std::optional<uint64_t> compare(const std::vector<std::byte> &a, const std::vector<std::byte> &b);

  const DeltaMap &map_;
  util::BlockSample choice_;
  const uint64_t blocks_;
  const uint64_t last_block_;  // the last one not wholly in the delta; blocks_ if there is none
  bool chosen_any_ = false;
  uint64_t next_block_ = 0;            // blocks below it have been chosen or passed over
  std::vector<extents::Range> batch_;  // chosen and not yet compared; each at most 1 MiB
  size_t batch_blocks_ = 0;
  std::atomic<bool> finished_ = false;
  std::atomic<uint64_t> compared_bytes_ = 0;  // outside the delta
  std::atomic<uint64_t> compared_blocks_ = 0;
};

// The share with which about 16 blocks are chosen, besides the first and the last one.
double handful(const DeltaMap &map);

}  // namespace apply
