// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/verify/block_comparer.hpp"

#include <algorithm>

#include "common/util/error.hpp"

namespace apply {

using extents::Range;

bool Verifier::gather() {
  constexpr uint64_t longest = 1u << 20;  // bytes; see Bytes::read
  constexpr size_t most_reads = 16;
  constexpr uint64_t most_bytes = 4u << 20;
  const uint64_t blocks = (mask_.size() + block - 1) / block;
  while (batch_blocks_ * block < most_bytes && batch_.size() < most_reads) {
    uint64_t chosen = choice_.next(next_);
    if (chosen >= blocks) {
      next_ = blocks;
      break;
    }
    Range range{chosen * block, std::min(block, mask_.size() - chosen * block)};
    if (mask_.delta_bytes(range) == range.length) {
      // All of it is in the delta; so may be what follows.
      Piece inside = mask_.at(range.offset);
      next_ = std::max(chosen + 1, inside.range.end() / block);
      continue;
    }
    next_ = chosen + 1;
    ++batch_blocks_;
    if (!batch_.empty() && batch_.back().end() == range.offset &&
        batch_.back().length + range.length <= longest) {
      batch_.back().length += range.length;
    } else {
      batch_.push_back(range);
    }
  }
  return !batch_.empty();
}

std::vector<Read> Verifier::reads_into(std::vector<std::byte> &buffer) const {
  uint64_t bytes = 0;
  for (const Range &range : batch_) bytes += range.length;
  buffer.resize(bytes);
  std::vector<Read> reads;
  std::span<std::byte> left(buffer);
  for (const Range &range : batch_) {
    reads.push_back({range.offset, left.first(range.length)});
    left = left.subspan(range.length);
  }
  return reads;
}

std::optional<uint64_t> Verifier::compare(const std::vector<std::byte> &a,
                                          const std::vector<std::byte> &b) {
  std::optional<uint64_t> difference;
  auto first_a = a.begin(), first_b = b.begin();
  for (const Range &range : batch_) {
    mask_.for_each(range, [&](const Piece &piece) {
      auto length = static_cast<ptrdiff_t>(piece.range.length);
      if (piece.kind == Kind::outside) {
        auto found = std::mismatch(first_a, first_a + length, first_b).first;
        if (found != first_a + length) {
          difference = piece.range.offset + static_cast<uint64_t>(found - first_a);
        }
        compared_ += piece.range.length;
      }
      first_a += length;
      first_b += length;
      return !difference;
    });
    if (difference) return difference;
  }
  return difference;
}

Verifier::Result Verifier::advance(Bytes &source, Bytes &destination,
                                   const std::function<bool()> &stop) {
  std::vector<std::byte> theirs, ours;
  while (!finished_) {
    if (stop()) return {End::interrupted};
    if (batch_.empty() && !gather()) {
      finished_ = true;
      break;
    }
    source.read(reads_into(theirs));
    destination.read(reads_into(ours));
    if (auto offset = compare(theirs, ours)) return {End::differs, *offset};
    blocks_ += batch_blocks_;
    batch_.clear();
    batch_blocks_ = 0;
  }
  return {End::finished};
}

}  // namespace apply
