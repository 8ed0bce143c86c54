// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/coverage.hpp"

#include <utility>

namespace apply {

using extents::Range;
using extents::RangeSet;

namespace {

bool meet(const Range &a, const Range &b) {
  return !extents::intersect(a, b).empty();
}

}  // namespace

Coverage::Stream Coverage::open() {
  std::lock_guard guard(lock_);
  return streams_.emplace(streams_.end(), mask_.size());
}

void Coverage::close(Stream stream) {
  std::lock_guard guard(lock_);
  streams_.erase(stream);
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
  }
  operations_.erase(op);
}

void Coverage::prove_zero(Range range, Stream stream) {
  std::lock_guard guard(lock_);
  stream->add(range);
  proven_.add(range);
}

Coverage::Flush Coverage::begin_flush(Stream stream) {
  std::lock_guard guard(lock_);
  return flushing_.insert(flushing_.end(), std::exchange(*stream, RangeSet(mask_.size())));
}

void Coverage::end_flush(Flush flush, bool succeeded) {
  std::lock_guard guard(lock_);
  if (succeeded) {
    for (const Range &range : flush->ranges()) settled_.add(range);
  }
  flushing_.erase(flush);
}

bool Coverage::pending(Stream stream) const {
  std::lock_guard guard(lock_);
  return !stream->empty();
}

std::vector<Range> Coverage::owed() const {
  std::lock_guard guard(lock_);
  std::vector<Range> list;
  for (const Range &range : mask_.delta().ranges()) {
    settled_.split(range, [&](Range part, bool in) {
      if (!in) list.push_back(part);
      return true;
    });
  }
  return list;
}

void Coverage::forget(Range range) {
  settled_.subtract(range);
  proven_.subtract(range);
  for (RangeSet &pending : streams_) pending.subtract(range);
  for (RangeSet &pending : flushing_) pending.subtract(range);
}

}  // namespace apply
