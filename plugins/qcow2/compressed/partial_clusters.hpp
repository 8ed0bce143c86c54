// SPDX-License-Identifier: BSD-3-Clause
//
// Clusters that have been written in part, and wait for the rest before they are compressed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/extents/extent.hpp"

namespace qcow2 {

// What is known of one cluster. Offsets are within the cluster.
class Part {
 public:
  Part(uint64_t cluster, size_t cluster_size)
      : cluster_(cluster),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(cluster_size)),
        size_(cluster_size) {}

  uint64_t cluster() const { return cluster_; }
  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }       // of all of it
  const std::vector<extents::Range> &known() const { return known_; }  // sorted, none touch

  void put(std::span<const std::byte> data, uint64_t at);
  // Whether the first `length` bytes are known.
  bool is_whole(uint64_t length) const {
    return known_.size() == 1 && known_[0].offset == 0 && known_[0].end() >= length;
  }
  // What is not known of a range.
  std::vector<extents::Range> gaps(extents::Range range) const;

 private:
  uint64_t cluster_;
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_;
  std::vector<extents::Range> known_;
};

// May be used from any thread. One thread at a time owns a part; who else wants it waits. A thread
// that owns a part must not want another.
class Gather {
 public:
  // Never more than max_bytes of clusters (one at least).
  Gather(size_t cluster_size, size_t max_bytes);

  class Owned {
   public:
    Owned(Gather &gather, Part &part) : gather_(&gather), part_(&part) {}
    Owned(Owned &&other) noexcept
        : gather_(other.gather_), part_(std::exchange(other.part_, nullptr)) {}
    Owned &operator=(Owned &&) = delete;
    ~Owned() {
      if (part_ != nullptr) gather_->release(*part_);
    }
    Part *operator->() const { return part_; }
    // Ends it: what it has is in the image now, or of no interest any more.
    void drop() { gather_->drop(*std::exchange(part_, nullptr)); }

   private:
    Gather *gather_;
    Part *part_;
  };

  // Nothing has been gathered. Never true while there is something that was gathered before the
  // call, and so a quick way to know.
  bool is_empty() const { return count_.load() == 0; }

  // The part of the cluster; nothing if there is none.
  std::optional<Owned> own(uint64_t cluster);
  // Adds an empty one if there is none; nothing if it has no room: then own_oldest() has to make
  // some.
  std::optional<Owned> own_or_add(uint64_t cluster);
  // The one that was not written to for the longest time; nothing if there is room again.
  std::optional<Owned> own_oldest();
  // Those within [first, end), in order.
  std::vector<uint64_t> clusters(uint64_t first, uint64_t end) const;

 private:
  struct Slot {
    Part part;
    uint64_t last_use;
    bool owned = false;
  };
  using Slots = std::map<uint64_t, Slot>;

  Owned take(Slot &slot);
  void release(Part &part);
  void drop(Part &part);
  bool wait_for(uint64_t cluster, std::unique_lock<std::mutex> &lock);

  const size_t cluster_size_;
  const size_t most_;
  mutable std::mutex mutex_;  // protects what follows, not the parts, which their owners may use
  std::condition_variable released_;
  Slots slots_;
  std::map<uint64_t, uint64_t> by_age_;  // last_use -> cluster
  uint64_t clock_ = 0;
  std::atomic<size_t> count_ = 0;  // slots_.size()
};

}  // namespace qcow2
