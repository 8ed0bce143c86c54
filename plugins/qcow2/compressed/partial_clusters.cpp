// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/compressed/partial_clusters.hpp"

#include <algorithm>

namespace qcow2 {

void PartialCluster::put(std::span<const std::byte> data, uint64_t at) {
  if (data.empty()) return;
  std::copy(data.begin(), data.end(), bytes_.get() + at);
  extents::Range range{at, data.size()};
  auto first = std::find_if(known_.begin(), known_.end(),
                            [&](const extents::Range &k) { return k.end() >= range.offset; });
  auto last = first;
  for (; last != known_.end() && last->offset <= range.end(); ++last) {
    uint64_t start = std::min(range.offset, last->offset);
    range = {start, std::max(range.end(), last->end()) - start};
  }
  known_.insert(known_.erase(first, last), range);
}

std::vector<extents::Range> PartialCluster::gaps(extents::Range range) const {
  std::vector<extents::Range> gaps;
  uint64_t at = range.offset;
  for (const auto &known : known_) {
    extents::Range shared = extents::intersect(known, range);
    if (shared.empty()) continue;
    if (shared.offset > at) gaps.push_back({at, shared.offset - at});
    at = shared.end();
  }
  if (at < range.end()) gaps.push_back({at, range.end() - at});
  return gaps;
}

PartialClusters::PartialClusters(size_t cluster_size, size_t max_bytes)
    : cluster_size_(cluster_size), max_count_(std::max<size_t>(max_bytes / cluster_size, 1)) {}

PartialClusters::Owned PartialClusters::take(Slot &slot) {
  slot.owned = true;
  return Owned(*this, slot.cluster);
}

// Returns when no thread owns the cluster. False if nothing of it is known.
bool PartialClusters::wait_unowned(uint64_t cluster, util::MutexLock &lock) {
  for (;;) {
    auto it = slots_.find(cluster);
    if (it == slots_.end()) return false;
    if (!it->second.owned) return true;
    released_.wait(lock);
  }
}

std::optional<PartialClusters::Owned> PartialClusters::own(uint64_t cluster) {
  if (is_empty()) return std::nullopt;
  util::MutexLock lock(mutex_);
  if (!wait_unowned(cluster, lock)) return std::nullopt;
  return take(slots_.at(cluster));
}

std::optional<PartialClusters::Owned> PartialClusters::own_or_add(uint64_t cluster) {
  util::MutexLock lock(mutex_);
  if (!wait_unowned(cluster, lock)) {
    if (slots_.size() >= max_count_) return std::nullopt;
    slots_.try_emplace(cluster, Slot{PartialCluster(cluster, cluster_size_), ++clock_});
    by_age_.emplace(clock_, cluster);
    count_.store(slots_.size());
  }
  Slot &slot = slots_.at(cluster);
  by_age_.erase(slot.last_use);
  slot.last_use = ++clock_;
  by_age_.emplace(clock_, cluster);
  return take(slot);
}

std::optional<PartialClusters::Owned> PartialClusters::own_oldest() {
  util::MutexLock lock(mutex_);
  while (slots_.size() >= max_count_) {
    for (const auto &[use, cluster] : by_age_) {
      if (Slot &slot = slots_.at(cluster); !slot.owned) return take(slot);
    }
    released_.wait(lock);
  }
  return std::nullopt;
}

std::vector<uint64_t> PartialClusters::clusters(uint64_t first, uint64_t end) const {
  std::vector<uint64_t> found;
  if (is_empty()) return found;
  util::MutexLock lock(mutex_);
  for (auto it = slots_.lower_bound(first); it != slots_.end() && it->first < end; ++it) {
    found.push_back(it->first);
  }
  return found;
}

void PartialClusters::release(PartialCluster &cluster) {
  util::MutexLock lock(mutex_);
  slots_.at(cluster.cluster()).owned = false;
  released_.notify_all();
}

void PartialClusters::drop(PartialCluster &cluster) {
  util::MutexLock lock(mutex_);
  auto it = slots_.find(cluster.cluster());
  by_age_.erase(it->second.last_use);
  slots_.erase(it);
  count_.store(slots_.size());
  released_.notify_all();
}

}  // namespace qcow2
