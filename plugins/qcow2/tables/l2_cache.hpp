// SPDX-License-Identifier: BSD-3-Clause
//
// The L2 tables of one image, as much of them as is in use: a cache of slices, which are pieces of a
// table that are read and written at once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plugins/qcow2/tables/atomic_table.hpp"
#include "plugins/qcow2/format/header.hpp"

namespace qcow2 {

class L2Cache;

// The L2 entries of some guest clusters in a row, held in memory while this lives. May be used from
// any thread. An entry is changed either at once (replace_if), or by a thread that has claimed it,
// which may then take its time (write the data the entry will point to) while readers go on seeing
// the old value. Whoever changes an entry says so with changed(), before the change is acknowledged.
class Entries {
 public:
  Entries() = default;  // of no table: every entry reads as unallocated
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

  // The guest cluster of the others' first argument must be one that is covered.
  Entry value(uint64_t cluster) const {
    return slice_ ? visible(word(cluster).load()) : unallocated;
  }
  bool is_claimed(uint64_t cluster) const { return (word(cluster).load() & claim) != 0; }
  // Claims the entry if it still has the value and nobody else has claimed it. A thread that holds
  // claims must not wait for another.
  bool try_claim(uint64_t cluster, Entry expected) {
    uint64_t old = hidden(expected);
    return word(cluster).compare_exchange_strong(old, old | claim);
  }
  void wait_unclaimed(uint64_t cluster) const;
  // Ends the claim: the entry now has the value.
  void release(uint64_t cluster, Entry value);
  bool replace_if(uint64_t cluster, Entry expected, Entry value) {
    uint64_t old = hidden(expected);
    return word(cluster).compare_exchange_strong(old, hidden(value));
  }
  // They have to go to disk.
  void changed();

  uint64_t number() const;  // of the slice
  // Whether the file has space for the slice, as far as is known.
  bool is_reserved() const;
  void set_reserved();
  // Appends the entries as they are on disk.
  void encode(std::vector<std::byte> &to) const;

 private:
  friend class L2Cache;
  using Word = std::atomic<uint64_t>;
  struct Slice;
  Entries(L2Cache *cache, Slice *slice) : cache_(cache), slice_(slice) {}  // takes over a pin

  // In memory bit 63 marks a claim, in every kind of entry. What it says on disk, COPIED, follows
  // from the rest: all but compressed clusters have refcounts of one.
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

// May be used from any thread. No lock is held while a slice is read; threads that want the same one
// wait for one read of it. A slice that is pinned (by an Entries) or changed stays; of the others
// the least recently used give way. When too many are pinned or changed the cache grows beyond its
// bound, for as long: see is_crowded().
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

  // Takes what has changed since it was last taken, sorted. Changes that are made from now on may
  // be seen in it, and make the slice be taken again. Whoever takes them says at the end, when they
  // are no longer held, how many they were.
  std::vector<Entries> take_changed();
  void give_back(size_t count) { taken_.fetch_sub(count); }
  // So much of the cache has changed that it should be written soon; or at once.
  bool wants_writing() const { return changed_.load() > slices_ / 3; }
  bool is_crowded() const { return changed_.load() + taken_.load() > slices_ - slices_ / 4; }

 private:
  friend class Entries;
  using Slice = Entries::Slice;
  struct Shard;
  static constexpr size_t shard_count = 16;

  Shard &shard_of(uint64_t number);
  Slice *find_room(Shard &shard);
  std::unique_ptr<Slice> make_slice();
  void load(Shard &shard, Slice &slice);
  void decode(std::span<const std::byte> bytes, Slice &slice) const;

  const uint64_t slice_entries_;
  const size_t slices_;  // that the bound allows
  const Read read_;
  std::unique_ptr<std::array<Shard, shard_count>> shards_;
  std::atomic<size_t> changed_ = 0;  // and not taken
  std::atomic<size_t> taken_ = 0;    // and not given back
  EntryArray words_;                 // of the slices within the bound, taken as they are needed
  std::atomic<size_t> words_used_ = 0;
};

}  // namespace qcow2
