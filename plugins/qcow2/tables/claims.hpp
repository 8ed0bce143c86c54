// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/tables/l2_cache.hpp"
#include "plugins/qcow2/tables/table_writer.hpp"

namespace qcow2 {

// The claims of one thread on L2 entries in a row, while it writes the data they will point to. The
// destructor gives entries that were not linked their old value back.
class Claims {
 public:
  // `entries` must cover the guest cluster `first`. The row ends where they end.
  Claims(Entries entries, uint64_t first) : entries_(std::move(entries)), first_(first) {}
  ~Claims() {
    for (size_t i = linked_; i < old_.size(); ++i) entries_.release(first_ + i, old_[i]);
  }
  Claims(const Claims &) = delete;
  Claims &operator=(const Claims &) = delete;

  // Claims the next entry. False if it has data in place, is claimed by another thread, or is not
  // covered.
  bool take_next() {
    uint64_t cluster = first_ + old_.size();
    if (!entries_.cover(cluster)) return false;
    Entry entry = entries_.value(cluster);
    if (is_data(entry) || !entries_.try_claim(cluster, entry)) return false;
    old_.push_back(entry);
    return true;
  }

  // Makes the entries point, in order, to host clusters in a row from the offset `host`.
  void link(uint64_t host, uint64_t cluster_size, TableWriter &tables) {
    for (; linked_ < old_.size(); ++linked_, host += cluster_size) {
      entries_.release(first_ + linked_, data_entry(host));
      tables.changed(entries_, old_[linked_]);
    }
  }

  // Sets the only entry that is claimed.
  void link_entry(Entry entry, TableWriter &tables) {
    entries_.release(first_, entry);
    linked_ = 1;
    tables.changed(entries_, old_[0]);
  }

  // Guest clusters.
  uint64_t first() const { return first_; }
  uint64_t last() const { return first_ + old_.size() - 1; }
  uint64_t count() const { return old_.size(); }
  // The value of the entry before it was claimed.
  Entry old(uint64_t cluster) const { return old_[cluster - first_]; }

 private:
  Entries entries_;
  const uint64_t first_;
  std::vector<Entry> old_;
  size_t linked_ = 0;
};

}  // namespace qcow2
