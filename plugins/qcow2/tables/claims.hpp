// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "plugins/qcow2/tables/l2_cache.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

// L2 entries in a row that this thread is filling. What is not linked in the end gets its old value
// back.
class Claims {
 public:
  // `entries` must cover `first`; a row ends where they do.
  Claims(Entries entries, uint64_t first) : entries_(std::move(entries)), first_(first) {}
  ~Claims() {
    for (size_t i = linked_; i < old_.size(); ++i) entries_.release(first_ + i, old_[i]);
  }
  Claims(const Claims &) = delete;
  Claims &operator=(const Claims &) = delete;

  // Takes the next entry, unless it needs no filling or another thread has it.
  bool take_next() {
    uint64_t cluster = first_ + old_.size();
    if (!entries_.cover(cluster)) return false;
    Entry entry = entries_.value(cluster);
    if (is_data(entry) || !entries_.try_claim(cluster, entry)) return false;
    old_.push_back(entry);
    return true;
  }

  // Links the clusters, in order, to host clusters that follow each other.
  void link(uint64_t host, uint64_t cluster_size, Metadata &metadata) {
    for (; linked_ < old_.size(); ++linked_, host += cluster_size) {
      entries_.release(first_ + linked_, data_entry(host));
      metadata.changed(entries_, old_[linked_]);
    }
  }

  // Links the only cluster by an entry of another kind.
  void link_entry(Entry entry, Metadata &metadata) {
    entries_.release(first_, entry);
    linked_ = 1;
    metadata.changed(entries_, old_[0]);
  }

  uint64_t first() const { return first_; }
  uint64_t last() const { return first_ + old_.size() - 1; }
  uint64_t count() const { return old_.size(); }
  Entry old(uint64_t cluster) const { return old_[cluster - first_]; }

 private:
  Entries entries_;
  const uint64_t first_;
  std::vector<Entry> old_;
  size_t linked_ = 0;
};

}  // namespace qcow2
