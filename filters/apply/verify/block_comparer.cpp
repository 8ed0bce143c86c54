// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/verify/block_comparer.hpp"

#include <algorithm>
#include <cstring>

namespace apply {

using extents::Range;

namespace {

constexpr uint64_t block = BlockComparer::block;

uint64_t find_last(const DeltaMap &map, uint64_t blocks) {
  for (uint64_t end = blocks; end > 0;) {
    Range range{(end - 1) * block, std::min(block, map.size() - (end - 1) * block)};
    if (map.delta_bytes(range) < range.length) return end - 1;
    // Nor is one that lies wholly in the same area of the delta.
    uint64_t area = map.at(range.offset).range.offset;
    end = std::min(end - 1, (area + block - 1) / block);
  }
  return blocks;
}

}  // namespace

double handful(const DeltaMap &map) {
  constexpr uint64_t blocks = 16;
  uint64_t outside = map.size() - map.delta_bytes();
  return outside <= blocks * block
             ? 1
             : static_cast<double>(blocks * block) / static_cast<double>(outside);
}

BlockComparer::BlockComparer(const DeltaMap &map, double share, uint64_t seed)
    : map_(map),
      choice_(share, seed),
      blocks_((map.size() + block - 1) / block),
      last_block_(find_last(map, blocks_)) {}

bool BlockComparer::choose_batch() {
  constexpr uint64_t longest = 1u << 20;  // bytes; DiskBytes::read takes no longer one
  constexpr size_t most_reads = 16;
  constexpr uint64_t most_bytes = 4u << 20;
  while (batch_blocks_ * block < most_bytes && batch_.size() < most_reads) {
    uint64_t chosen = chosen_any_ ? choice_.next(next_block_) : next_block_;
    if (next_block_ <= last_block_) chosen = std::min(chosen, last_block_);
    if (chosen >= blocks_) {
      next_block_ = blocks_;
      break;
    }
    Range range{chosen * block, std::min(block, map_.size() - chosen * block)};
    if (map_.delta_bytes(range) == range.length) {
      // Blocks that lie wholly in the same area of the delta are passed over too.
      Area inside = map_.at(range.offset);
      next_block_ = std::max(chosen + 1, inside.range.end() / block);
      continue;
    }
    next_block_ = chosen + 1;
    chosen_any_ = true;
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

std::vector<DiskRead> BlockComparer::reads_into(std::vector<std::byte> &buffer) const {
  uint64_t bytes = 0;
  for (const Range &range : batch_) bytes += range.length;
  buffer.resize(bytes);
  std::vector<DiskRead> reads;
  std::span<std::byte> left(buffer);
  for (const Range &range : batch_) {
    reads.push_back({range.offset, left.first(range.length)});
    left = left.subspan(range.length);
  }
  return reads;
}

std::optional<uint64_t> BlockComparer::compare(const std::vector<std::byte> &a,
                                               const std::vector<std::byte> &b) {
  std::optional<uint64_t> difference;
  auto first_a = a.begin(), first_b = b.begin();
  for (const Range &range : batch_) {
    map_.for_each(range, [&](const Area &area) {
      auto length = static_cast<ptrdiff_t>(area.range.length);
      if (area.kind == Kind::outside) {
        // Blocks are equal almost always, and memcmp does not look at them byte by byte.
        if (std::memcmp(&*first_a, &*first_b, area.range.length) != 0) {
          auto found = std::mismatch(first_a, first_a + length, first_b).first;
          difference = area.range.offset + static_cast<uint64_t>(found - first_a);
        }
        compared_bytes_ += area.range.length;
      }
      first_a += length;
      first_b += length;
      return !difference;
    });
    if (difference) return difference;
  }
  return difference;
}

BlockComparer::Result BlockComparer::advance(DiskBytes &source, DiskBytes &destination,
                                             const std::function<bool()> &stop) {
  std::vector<std::byte> source_bytes, destination_bytes;
  while (!finished_) {
    if (stop()) return {End::interrupted};
    if (batch_.empty() && !choose_batch()) {
      finished_ = true;
      break;
    }
    source.read(reads_into(source_bytes));
    destination.read(reads_into(destination_bytes));
    if (auto offset = compare(source_bytes, destination_bytes)) return {End::differs, *offset};
    compared_blocks_ += batch_blocks_;
    batch_.clear();
    batch_blocks_ = 0;
  }
  return {End::finished};
}

}  // namespace apply
