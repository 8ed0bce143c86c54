// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/completer.hpp"

#include <algorithm>
#include <span>

namespace apply {

using extents::Range;

namespace {

constexpr uint64_t read_piece = 1u << 20;  // bytes; see Reader::are_zero
constexpr size_t read_batch = 16;
constexpr uint64_t zero_piece = 32u << 20;

// Cuts the pieces of one kind, in order, until f returns false.
void cut(const Completer::Missing &missing, Kind kind, uint64_t length,
         const std::function<bool(Range)> &f) {
  uint64_t from = 0;
  for (auto pieces = missing(from); !pieces.empty(); pieces = missing(from)) {
    for (const Piece &piece : pieces) {
      if (piece.kind != kind) continue;
      for (uint64_t at = piece.range.offset; at < piece.range.end(); at += length) {
        if (!f({at, std::min(length, piece.range.end() - at)})) return;
      }
    }
    from = pieces.back().range.end();
  }
}

}  // namespace

bool Completer::could_finish(const Missing &missing) {
  return for_zero_data(missing, [](Range) {}).end == End::finished;
}

Completer::Result Completer::complete(const Missing &missing) {
  // First what needs no source: it may have gone by now.
  bool stopped = false;
  cut(missing, Kind::zero, zero_piece, [&](Range range) {
    stopped = means_.stop();
    if (!stopped) means_.zero(range);
    return !stopped;
  });
  if (stopped) return {End::interrupted};
  return for_zero_data(missing, means_.zero);
}

Completer::Result Completer::for_zero_data(const Missing &missing, const Visit &visit) {
  std::unique_ptr<Reader> reader;
  std::vector<Range> batch;
  Result result{End::finished};
  cut(missing, Kind::data, read_piece, [&](Range range) {
    if (!reader) {
      reader = means_.connect();
      if (!reader) {
        result = {End::unreadable, range.offset};
        return false;
      }
    }
    batch.push_back(range);
    if (batch.size() < read_batch) return true;
    result = are_zero(*reader, batch, visit);
    batch.clear();
    return result.end == End::finished;
  });
  if (result.end == End::finished && !batch.empty()) result = are_zero(*reader, batch, visit);
  return result;
}

Completer::Result Completer::are_zero(Reader &reader, std::span<const Range> batch,
                                      const Visit &visit) {
  if (means_.stop()) return {End::interrupted};
  std::vector<bool> zero = reader.are_zero(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!zero[i]) return {End::left_early, batch[i].offset};
    visit(batch[i]);
  }
  return {End::finished};
}

}  // namespace apply
