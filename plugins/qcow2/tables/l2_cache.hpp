// SPDX-License-Identifier: BSD-3-Clause
//
// A cache of the L2 tables of one image. It holds slices: pieces of a table that are read and
// written as a whole.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plugins/qcow2/format/entries.hpp"
#include "plugins/qcow2/tables/atomic_table.hpp"

namespace qcow2 {

class L2Cache;

// The L2 entries of some guest clusters in a row: a slice, which stays in memory while this lives.
// May be used from any thread.
//
// An entry is changed either in one step (replace_if), or by a thread that has claimed it: that
// thread may take its time (such as for writing the data the entry will point to) while readers
// still see the old value. The thread that has changed an entry calls changed() before the change
// is acknowledged.
class Entries {
 public:
  Entries() = default;  // no slice: every entry is unallocated
  Entries(Entries &&other) noexcept
      : cache_(other.cache_), slice_(std::exchange(other.slice_, nullptr)) {}
  Entries &operator=(Entries &&other) noexcept {
    std::swap(cache_, other.cache_);
    std::swap(slice_, other.slice_);
    return *this;
  }
  ~Entries();

  explicit operator bool() const { return slice_ != nullptr; }
  bool cover(uint64_t cluster) const;

  // `cluster` is a guest cluster. In what follows, except for value(), this must cover it.
  Entry value(uint64_t cluster) const {
    return slice_ ? visible(word(cluster).load()) : unallocated;
  }
  bool is_claimed(uint64_t cluster) const { return (word(cluster).load() & claim) != 0; }
  // Claims the entry if it still has that value and no other thread has claimed it. A thread that
  // holds claims must not wait for another one.
  bool try_claim(uint64_t cluster, Entry expected) {
    uint64_t old = hidden(expected);
    return word(cluster).compare_exchange_strong(old, old | claim);
  }
  void wait_unclaimed(uint64_t cluster) const;
  // Sets the value and ends the claim.
  void release(uint64_t cluster, Entry value);
  bool replace_if(uint64_t cluster, Entry expected, Entry value) {
    uint64_t old = hidden(expected);
    return word(cluster).compare_exchange_strong(old, hidden(value));
  }
  // Entries have changed: a flush that begins after this has returned writes the slice, if none has
  // done so since the change.
  void changed();

  uint64_t number() const;  // of the slice
  // Before the first change of an entry. True: this thread alone has to give the slice its space in
  // the file, and calls end_reserve() then. False: it has space; another thread may have been waited
  // for. A slice that was not empty when it was read has space. Must not be called with a claim.
  bool begin_reserve();
  void end_reserve(bool succeeded);
  // Appends the entries in their form on disk.
  void encode(std::vector<std::byte> &to) const;

 private:
  friend class L2Cache;
  using Word = std::atomic<uint64_t>;
  struct Slice;
  Entries(L2Cache *cache, Slice *slice) : cache_(cache), slice_(slice) {}  // takes over a pin

  // In memory bit 63 marks a claim. On disk it is COPIED, which follows from the rest of the entry:
  // every host cluster that is not compressed has a refcount of one.
  static constexpr uint64_t claim = copied;
  static uint64_t hidden(Entry entry) { return entry & ~claim; }
  static Entry visible(uint64_t word) {
    word &= ~claim;
    return host_offset(word) != 0 ? word | copied : word;
  }
  Word &word(uint64_t cluster) const;

  L2Cache *cache_ = nullptr;
  Slice *slice_ = nullptr;
};

// May be used from any thread. No lock is held while a slice is read: threads that want the same
// slice wait for one read of it. A slice that is pinned (by an Entries) or changed stays in the
// cache. Of the others the least recently used ones are replaced. If too many are pinned or changed
// the cache grows beyond its limit until they are not, see is_crowded().
class L2Cache {
 public:
  // Reads the slice of that number as it is on disk into the buffer. Throws util::Error.
  using Read = std::function<void(uint64_t number, std::span<std::byte> buffer)>;

  // slice_entries: a power of two; bytes: of memory.
  L2Cache(uint64_t slice_entries, size_t bytes, Read read);
  ~L2Cache();
  L2Cache(const L2Cache &) = delete;
  L2Cache &operator=(const L2Cache &) = delete;

  uint64_t slice_entries() const { return slice_entries_; }

  // The slice, read if it is not there. Throws what Read throws.
  Entries pin(uint64_t number);

  // Takes the slices that have changed since they were last taken, sorted by number. A change that
  // is made after the call may be seen in a slice, and makes it changed again. The caller calls
  // give_back() with their number when they are no longer held.
  std::vector<Entries> take_changed();
  void give_back(size_t count) { taken_.fetch_sub(count); }
  // So much of the cache has changed that a flush should follow soon; or at once.
  bool wants_writing() const { return changed_.load() > slices_ / 3; }
  bool is_crowded() const { return changed_.load() + taken_.load() > slices_ - slices_ / 4; }

 private:
  friend class Entries;
  using Slice = Entries::Slice;
  struct Shard;
  static constexpr size_t shard_count = 16;

  Shard &shard_of(uint64_t number);
  std::unique_ptr<Slice> make_slice();
  void load(Shard &shard, Slice &slice);
  void decode(std::span<const std::byte> bytes, Slice &slice) const;

  const uint64_t slice_entries_;
  const size_t slices_;  // the limit
  const Read read_;
  std::unique_ptr<std::array<Shard, shard_count>> shards_;
  std::atomic<size_t> changed_ = 0;  // and not taken
  std::atomic<size_t> taken_ = 0;    // and not given back
  AtomicTable words_;                // memory of the slices within the limit
  std::atomic<size_t> words_used_ = 0;
};

}  // namespace qcow2
