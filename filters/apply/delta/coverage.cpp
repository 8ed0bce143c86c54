// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/delta/coverage.hpp"

#include <utility>

namespace apply {

using extents::Range;

namespace {

bool meet(const Range &a, const Range &b) {
  return !extents::intersect(a, b).empty();
}

}  // namespace

Coverage::Stream Coverage::open() {
  std::lock_guard guard(lock_);
  return streams_.emplace(streams_.end(), mask_);
}

void Coverage::close(Stream stream) {
  std::lock_guard guard(lock_);
  bool lost = !stream->empty();
  streams_.erase(stream);
  if (lost) count_arrived();
}

Coverage::Op Coverage::begin(Range range, bool settles) {
  std::lock_guard guard(lock_);
  bool spoiled = false;
  for (Operation &other : operations_) {
    if (other.settles == settles || !meet(other.range, range)) continue;
    spoiled = true;
    other.spoiled = true;
  }
  if (settles) {
    proven_.subtract(range);
  } else {
    std::vector<Range> doubtful;
    proven_.split(range, [&](Range part, bool in) {
      if (!in) doubtful.push_back(part);
      return true;
    });
    for (const Range &part : doubtful) forget(part);
  }
  return operations_.insert(operations_.end(), {range, settles, spoiled});
}

void Coverage::end(Op op, Stream stream, bool succeeded) {
  std::lock_guard guard(lock_);
  if (!succeeded) {
    forget(op->range);
    for (Operation &other : operations_) other.spoiled |= meet(other.range, op->range);
  } else if (op->settles && !op->spoiled) {
    stream->add(op->range);
    arrived_.add(op->range);
  }
  operations_.erase(op);
}

void Coverage::prove_zero(Range range, Stream stream) {
  std::lock_guard guard(lock_);
  stream->add(range);
  arrived_.add(range);
  proven_.add(range);
}

Coverage::Flush Coverage::begin_flush(Stream stream) {
  std::lock_guard guard(lock_);
  return flushing_.insert(flushing_.end(), std::exchange(*stream, DeltaSet(mask_)));
}

void Coverage::end_flush(Flush flush, bool succeeded) {
  std::lock_guard guard(lock_);
  if (succeeded) settle(*flush);
  bool lost = !succeeded && !flush->empty();
  flushing_.erase(flush);
  if (lost) count_arrived();
}

bool Coverage::pending(Stream stream) const {
  std::lock_guard guard(lock_);
  return !stream->empty();
}

std::vector<Range> Coverage::owed() const {
  std::lock_guard guard(lock_);
  std::vector<Range> list;
  settled_.for_each_owed([&](Range range) { list.push_back(range); });
  return list;
}

uint64_t Coverage::owed_bytes() const {
  std::lock_guard guard(lock_);
  return mask_.delta_bytes() - settled_.bytes();
}

uint64_t Coverage::arrived_bytes() const {
  std::lock_guard guard(lock_);
  return arrived_.bytes();
}

std::vector<Piece> Coverage::missing(uint64_t from, size_t most) const {
  std::lock_guard guard(lock_);
  std::vector<Piece> list;
  settled_.for_each_missing(from, [&](const Piece &piece) {
    list.push_back(piece);
    return list.size() < most;
  });
  return list;
}

Coverage::Snapshot Coverage::settled() const {
  std::lock_guard guard(lock_);
  return {settled_, changes_};
}

void Coverage::settle(const DeltaSet &pending) {
  uint64_t before = settled_.bytes();
  settled_.add(pending);
  if (settled_.bytes() != before) ++changes_;
}

void Coverage::forget(Range range) {
  uint64_t before = settled_.bytes();
  settled_.subtract(range);
  if (settled_.bytes() != before) ++changes_;
  arrived_.subtract(range);
  proven_.subtract(range);
  for (DeltaSet &pending : streams_) pending.subtract(range);
  for (DeltaSet &pending : flushing_) pending.subtract(range);
}

void Coverage::count_arrived() {
  arrived_ = settled_;
  for (const DeltaSet &pending : streams_) arrived_.add(pending);
  for (const DeltaSet &pending : flushing_) arrived_.add(pending);
}

}  // namespace apply
