// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/stream/stream_table.hpp"

#include <algorithm>
#include <vector>

namespace coalesce {

Stream *StreamTable::match(extents::Range read, const DataBetween &data_between) {
  Stream *best = nullptr;
  uint64_t best_distance = 0;
  Stream *below = nullptr;  // the one with the nearest head at or before the read
  for (Stream &s : streams_) {
    uint64_t distance = read.offset > s.head ? read.offset - s.head : s.head - read.offset;
    // The second read of a stream must follow the first exactly: random reads are often near.
    bool near = s.sequential() ? distance <= slack_ : distance == 0;
    if (near && (best == nullptr || distance < best_distance)) {
      best = &s;
      best_distance = distance;
    }
    if (s.head <= read.offset && (below == nullptr || s.head > below->head)) below = &s;
  }
  if (best == nullptr && below != nullptr) {
    uint64_t skipped = data_between(below->head, read.offset);
    if (skipped <= (below->sequential() ? slack_ : 0)) best = below;
  }
  return best;
}

Stream *StreamTable::add(extents::Range read) {
  if (streams_.size() >= max_streams) {
    auto oldest =
        std::min_element(streams_.begin(), streams_.end(), [](const auto &a, const auto &b) {
          if (a.sequential() != b.sequential()) return !a.sequential();
          return a.last_read < b.last_read;
        });
    if (oldest->sequential() && !stale(*oldest)) return nullptr;
    streams_.erase(oldest);
  }
  Stream &s = streams_.emplace_front();
  s.id = next_id_++;
  s.head = s.next_fetch = read.end();
  return &s;
}

Stream *StreamTable::observe(extents::Range read, bool prefetched,
                             const DataBetween &data_between) {
  ++now_;
  Stream *s = match(read, data_between);
  if (s == nullptr) s = add(read);
  if (s == nullptr) return nullptr;
  bool was_sequential = s->sequential();
  ++s->reads;
  if (prefetched && !s->sequential()) s->reads = 2;
  s->head = std::max(s->head, read.end());
  s->bytes_read += read.length;
  s->last_read = now_;
  if (!was_sequential) s->next_fetch = read.offset;
  return s;
}

void StreamTable::pin(extents::Range range) {
  Stream &s = pinned_.emplace_back();
  s.id = next_id_++;
  s.pinned = true;
  s.next_fetch = range.offset;
  s.head = s.end = range.end();
}

void StreamTable::serve_pinned(const std::function<bool(Stream &)> &f) {
  for (Stream &s : pinned_) {
    if (f(s)) return;
  }
}

Stream *StreamTable::find(uint64_t id) {
  for (auto *list : {&streams_, &pinned_}) {
    for (Stream &s : *list) {
      if (s.id == id) return &s;
    }
  }
  return nullptr;
}

void StreamTable::erase(uint64_t id) {
  for (auto *list : {&streams_, &pinned_}) {
    std::erase_if(*list, [&](const auto &s) { return s.id == id; });
  }
}

uint64_t StreamTable::active() const {
  auto active = [&](const auto &s) { return s.sequential() && !stale(s); };
  return static_cast<uint64_t>(std::count_if(streams_.begin(), streams_.end(), active));
}

void StreamTable::serve(const std::function<bool(Stream &)> &f) {
  std::vector<std::list<Stream>::iterator> candidates;
  for (auto it = streams_.begin(); it != streams_.end(); ++it) {
    if (it->sequential() && !stale(*it)) candidates.push_back(it);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](auto a, auto b) { return a->cached < b->cached; });
  for (auto it : candidates) {
    if (f(*it)) {
      streams_.splice(streams_.end(), streams_, it);
      return;
    }
  }
}

}  // namespace coalesce
