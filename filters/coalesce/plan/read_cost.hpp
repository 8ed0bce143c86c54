// SPDX-License-Identifier: BSD-3-Clause
//
// What a read of the layer below costs, and so whether a gap between data is worth reading.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace coalesce {

// Takes a read to keep the layer busy for a time of its own and for a time for each byte. Short reads show the one, long
// reads the other; of each kind the median of the latest counts, so that a read that was held up changes nothing. Reads
// that are under way at the same time share its time: where they wait for each other, as for one link, bytes are what
// counts, and where they do not, a part of the latency only.
//
// At first gaps are read, which makes long reads; then, for some reads, none is: that is a trial. After each 2 GiB all is
// measured anew. Not synchronised.
class ReadCost {
 public:
  static constexpr bool is_short(uint64_t bytes, uint64_t chunk) { return bytes <= chunk / 8; }

  // Reads count while at least so many are under way. chunk: of Settings; bytes.
  ReadCost(uint64_t chunk, unsigned parallel) : chunk_(chunk), parallel_(std::max(parallel, 1u)) {}

  // A read of so many bytes took so long, while so many of its kind were under way, this one among them; 0: also others.
  void add(uint64_t bytes, std::chrono::nanoseconds took, unsigned parallel);

  // The length of a gap that takes as long as one more read: it is as fast to read it with the data on both its sides as
  // to read the two one by one. Bytes; ~0 if it is not known, and where reads take as long whatever their length.
  uint64_t worthwhile_gap() const { return gap_; }
  // No gap is to be read now, so that there are short reads.
  bool trial() const {
    return long_.count() >= enough && short_.count() < enough && trial_ < longest_trial;
  }

 private:
  // The latest reads of a kind.
  class Reads {
   public:
    void add(uint64_t bytes, std::chrono::nanoseconds took);
    size_t count() const { return count_; }  // of the reads that were added, in all
    // The medians, if there are any.
    double bytes() const;
    double nanoseconds() const;

   private:
    std::array<double, 16> bytes_{}, nanoseconds_{};
    size_t count_ = 0;
  };

  static constexpr uint64_t any = ~uint64_t{0};
  static constexpr size_t enough = 8;  // reads of each kind
  // Reads. Then the data is not such that there are short ones.
  static constexpr unsigned longest_trial = 64;
  static constexpr uint64_t period = uint64_t{2} << 30;  // bytes read between two measurements

  uint64_t measured_gap() const;

  uint64_t chunk_;
  unsigned parallel_;
  Reads short_, long_;
  unsigned trial_ = 0;       // reads since it began
  uint64_t bytes_read_ = 0;  // since the measurement began
  uint64_t gap_ = any;       // clients ask for it more often than reads are added
};

}  // namespace coalesce
