// SPDX-License-Identifier: BSD-3-Clause
//
// Clusters that have been written in part and are kept in memory until the rest of them is written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/util/mutex.hpp"

namespace qcow2 {

// The known bytes of one guest cluster. Offsets are within the cluster.
class PartialCluster {
 public:
  PartialCluster(uint64_t cluster, size_t cluster_size)
      : cluster_(cluster),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(cluster_size)),
        size_(cluster_size) {}

  uint64_t cluster() const { return cluster_; }
  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }  // of the whole cluster
  // In ascending order. They neither overlap nor touch.
  const std::vector<extents::Range> &known() const { return known_; }

  void put(std::span<const std::byte> data, uint64_t at);
  // Whether the first `length` bytes are known.
  bool is_whole(uint64_t length) const {
    return known_.size() == 1 && known_[0].offset == 0 && known_[0].end() >= length;
  }
  // The parts of the range that are not known.
  std::vector<extents::Range> gaps(extents::Range range) const;

 private:
  uint64_t cluster_;
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_;
  std::vector<extents::Range> known_;
};

// May be used from any thread. One thread at a time owns a partial cluster, and others that want it
// wait. A thread that owns one must not ask for another.
class PartialClusters {
 public:
  // Holds at most max_bytes of clusters, but at least one.
  PartialClusters(size_t cluster_size, size_t max_bytes);

  class Owned {
   public:
    Owned(PartialClusters &owner, PartialCluster &cluster) : owner_(&owner), cluster_(&cluster) {}
    Owned(Owned &&other) noexcept
        : owner_(other.owner_), cluster_(std::exchange(other.cluster_, nullptr)) {}
    Owned &operator=(Owned &&) = delete;
    ~Owned() {
      if (cluster_ != nullptr) owner_->release(*cluster_);
    }
    PartialCluster *operator->() const { return cluster_; }
    PartialCluster &operator*() const { return *cluster_; }
    // Removes it: its content is in the image, or overwritten.
    void drop() { owner_->drop(*std::exchange(cluster_, nullptr)); }

   private:
    PartialClusters *owner_;
    PartialCluster *cluster_;
  };

  // Never true if there is one that was added before the call. Takes no lock.
  bool is_empty() const { return count_.load() == 0; }

  // None if nothing of the cluster is known.
  std::optional<Owned> own(uint64_t cluster) ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds an empty one if nothing of the cluster is known. None if there is no room for it: then
  // own_oldest() gives the one to complete.
  std::optional<Owned> own_or_add(uint64_t cluster) ABSL_LOCKS_EXCLUDED(mutex_);
  // The least recently written one; none if there is room by now.
  std::optional<Owned> own_oldest() ABSL_LOCKS_EXCLUDED(mutex_);
  // The guest clusters in [first, end) of which something is known, in ascending order.
  std::vector<uint64_t> clusters(uint64_t first, uint64_t end) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Slot {
    PartialCluster cluster;
    uint64_t last_use;
    bool owned = false;
  };

  Owned take(Slot &slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void release(PartialCluster &cluster) ABSL_LOCKS_EXCLUDED(mutex_);
  void drop(PartialCluster &cluster) ABSL_LOCKS_EXCLUDED(mutex_);
  bool wait_unowned(uint64_t cluster, util::MutexLock &lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t cluster_size_;
  const size_t max_count_;
  // Does not protect the content of a partial cluster, which belongs to the thread that owns it.
  mutable util::Mutex mutex_;
  util::Condition released_;
  std::map<uint64_t, Slot> slots_ ABSL_GUARDED_BY(mutex_);       // by guest cluster
  std::map<uint64_t, uint64_t> by_age_ ABSL_GUARDED_BY(mutex_);  // last_use -> guest cluster
  uint64_t clock_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> count_ = 0;  // slots_.size()
};

}  // namespace qcow2
