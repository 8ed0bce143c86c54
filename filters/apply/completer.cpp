// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/completer.hpp"

#include <algorithm>
#include <span>

namespace apply {

using extents::Range;

namespace {

constexpr uint64_t read_piece = 1u << 20;  // bytes; see Reader::are_zero
constexpr size_t read_batch = 16;
constexpr uint64_t zero_piece = 32u << 20;

// Cuts the pieces of one kind.
std::vector<Range> cut(const std::vector<Piece> &missing, Kind kind, uint64_t length) {
  std::vector<Range> list;
  for (const Piece &piece : missing) {
    if (piece.kind != kind) continue;
    for (uint64_t at = piece.range.offset; at < piece.range.end(); at += length) {
      list.push_back({at, std::min(length, piece.range.end() - at)});
    }
  }
  return list;
}

}  // namespace

bool Completer::could_finish(const std::vector<Piece> &missing) {
  return for_zero_data(missing, [](Range) {}).end == End::finished;
}

Completer::Result Completer::complete(const std::vector<Piece> &missing) {
  // First what needs no source: it may have gone by now.
  for (const Range &range : cut(missing, Kind::zero, zero_piece)) {
    if (means_.stop()) return {End::interrupted};
    means_.zero(range);
  }
  return for_zero_data(missing, means_.zero);
}

Completer::Result Completer::for_zero_data(const std::vector<Piece> &missing, const Visit &visit) {
  std::vector<Range> ranges = cut(missing, Kind::data, read_piece);
  if (ranges.empty()) return {End::finished};
  std::unique_ptr<Reader> reader = means_.connect();
  if (!reader) return {End::unreadable, ranges.front().offset};

  for (std::span<const Range> left = ranges; !left.empty();) {
    auto batch = left.first(std::min(left.size(), read_batch));
    if (means_.stop()) return {End::interrupted};
    std::vector<bool> zero = reader->are_zero(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!zero[i]) return {End::left_early, batch[i].offset};
      visit(batch[i]);
    }
    left = left.subspan(batch.size());
  }
  return {End::finished};
}

}  // namespace apply
