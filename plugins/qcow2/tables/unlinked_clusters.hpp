// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "common/durability/pending_set.hpp"
#include "common/extents/extent.hpp"

namespace qcow2 {

// The host clusters that no entry in memory refers to any more. Entries on disk may still do: the
// space of a cluster is given back to the file system only after the flush that has unlinked it,
// and the cluster is not allocated again before the image is closed. May be used from any thread.
class UnlinkedClusters {
 public:
  explicit UnlinkedClusters(bool compressed) : compressed_(compressed), ranges_(Ranges(count_)) {}

  // A range of the file in bytes.
  void add(extents::Range range) { ranges_.add(range); }
  // So many ranges that a flush should follow soon; or before anything is added.
  bool is_full() const { return count_.load() >= max_ranges; }
  bool is_overfull() const { return count_.load() > 2 * max_ranges; }

 private:
  class Ranges {
   public:
    // count: the number of ranges that are pending.
    explicit Ranges(std::atomic<size_t> &count) : count_(&count) {}
    void add(extents::Range range);
    void add(const Ranges &other);
    void clear() { list_.clear(); }
    bool empty() const { return list_.empty(); }
    const std::vector<extents::Range> &list() const { return list_; }

   private:
    std::atomic<size_t> *count_;
    std::vector<extents::Range> list_;
  };

 public:
  // For a flush: what was added before it began. end_flush() returns it if the flush has succeeded;
  // else it is unlinked, and not flushed, as before.
  using Flush = durability::PendingSet<Ranges>::Flush;
  Flush begin_flush();
  std::vector<extents::Range> end_flush(Flush flush, bool succeeded);

  // Compressed data shares its host clusters, so whether one is free is known only when the image
  // is closed: only that there may be free ones is noted.
  void add_compressed() { compressed_.store(true); }
  bool take_compressed() { return compressed_.exchange(false); }

 private:
  static constexpr size_t max_ranges = 100000;

  std::atomic<bool> compressed_;
  std::atomic<size_t> count_ = 0;
  durability::PendingSet<Ranges> ranges_;
};

}  // namespace qcow2
