// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/l2_cache.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

// Lives until the cache does; holds one slice of a table after the other.
struct Entries::Slice {
  enum State : uint32_t { loading, ready, failed };

  // With memory of the cache, or of its own.
  explicit Slice(Word *of_cache) : words(of_cache) {}
  explicit Slice(uint64_t entries) : own(std::make_unique<Word[]>(entries)), words(own.get()) {}

  uint64_t number = 0;             // changed only while no one else knows the slice
  bool listed = false;             // protected by the shard's mutex: found under its number
  std::atomic<uint32_t> pins = 0;  // goes up from 0 under the shard's mutex only
  std::atomic<uint32_t> state = loading;
  std::atomic<bool> used = false;  // since the hand of the clock has passed
  std::atomic<bool> changed = false;
  std::atomic<bool> reserved = false;
  std::unique_ptr<Word[]> own;
  Word *const words;
};

struct L2Cache::Shard {
  std::mutex mutex;  // protects what follows; not held for I/O
  std::unordered_map<uint64_t, Slice *> by_number;
  std::vector<std::unique_ptr<Slice>> slices;
  size_t hand = 0;               // of the clock
  std::vector<Slice *> changed;  // each with a pin
};

Entries::~Entries() {
  if (slice_ != nullptr) slice_->pins.fetch_sub(1);
}

bool Entries::cover(uint64_t cluster) const {
  return slice_ != nullptr && cluster / cache_->slice_entries_ == slice_->number;
}

Entries::Word &Entries::word(uint64_t cluster) const {
  return slice_->words[cluster & (cache_->slice_entries_ - 1)];
}

void Entries::wait_unclaimed(uint64_t cluster) const {
  Word &w = word(cluster);
  for (uint64_t seen = w.load(); (seen & claim) != 0; seen = w.load()) w.wait(seen);
}

void Entries::release(uint64_t cluster, Entry value) {
  word(cluster).store(hidden(value));
  word(cluster).notify_all();
}

void Entries::changed() {
  if (slice_->changed.exchange(true)) return;
  L2Cache::Shard &shard = cache_->shard_of(slice_->number);
  std::lock_guard lock(shard.mutex);
  slice_->pins.fetch_add(1);
  shard.changed.push_back(slice_);
  cache_->changed_.fetch_add(1);
}

uint64_t Entries::number() const {
  return slice_->number;
}
bool Entries::is_reserved() const {
  return slice_->reserved.load();
}
void Entries::set_reserved() {
  slice_->reserved.store(true);
}

void Entries::encode(std::vector<std::byte> &to) const {
  size_t at = to.size();
  to.resize(at + cache_->slice_entries_ * 8);
  for (uint64_t i = 0; i < cache_->slice_entries_; ++i, at += 8) {
    store_be<uint64_t>(&to[at], visible(slice_->words[i].load()));
  }
}

namespace {

// What a slice takes beside its entries: the structure, its place in the tables, malloc's part.
constexpr size_t overhead = 192;

}  // namespace

L2Cache::L2Cache(uint64_t slice_entries, size_t bytes, Read read)
    : slice_entries_(slice_entries),
      slices_(std::max<size_t>(bytes / (slice_entries * 8 + overhead), shard_count)),
      read_(std::move(read)),
      shards_(std::make_unique<std::array<Shard, shard_count>>()),
      words_(slices_ * slice_entries) {}

L2Cache::~L2Cache() = default;

L2Cache::Shard &L2Cache::shard_of(uint64_t number) {
  constexpr uint64_t golden = 0x9e37'79b9'7f4a'7c15;
  return (*shards_)[number * golden >> (64 - std::countr_zero(shard_count))];
}

// Memory for the slices within the bound comes from one mapping: malloc would spread it over the
// heaps of many threads.
std::unique_ptr<L2Cache::Slice> L2Cache::make_slice() {
  size_t n = words_used_.load();
  while (n < slices_ && !words_used_.compare_exchange_weak(n, n + 1)) {
  }
  if (n == slices_) return std::make_unique<Slice>(slice_entries_);
  return std::make_unique<Slice>(words_.words() + n * slice_entries_);
}

// With the shard's mutex held: a slice that nobody knows. The hand of the clock goes round twice at
// most: the first time over a slice it takes away the mark of its last use.
L2Cache::Slice *L2Cache::find_room(Shard &shard) {
  if (shard.slices.size() >= slices_ / shard_count) {
    for (size_t i = 0; i < 2 * shard.slices.size(); ++i) {
      shard.hand = (shard.hand + 1) % shard.slices.size();
      Slice *slice = shard.slices[shard.hand].get();
      if (slice->pins.load() != 0 || slice->used.exchange(false)) continue;
      if (slice->listed) shard.by_number.erase(slice->number);
      slice->listed = false;
      if (shard.slices.size() == slices_ / shard_count || !slice->own) return slice;
      // One of those beyond the bound goes; the next one found is the answer.
      std::swap(shard.slices[shard.hand], shard.slices.back());
      shard.slices.pop_back();
    }
  }
  shard.slices.push_back(make_slice());
  return shard.slices.back().get();
}

Entries L2Cache::pin(uint64_t number) {
  Shard &shard = shard_of(number);
  for (;;) {
    std::unique_lock lock(shard.mutex);
    if (auto found = shard.by_number.find(number); found != shard.by_number.end()) {
      Slice *slice = found->second;
      slice->pins.fetch_add(1);
      slice->used.store(true);
      lock.unlock();
      Entries entries(this, slice);
      if (slice->state.load() == Slice::loading) slice->state.wait(Slice::loading);
      if (slice->state.load() == Slice::ready) return entries;
      continue;  // the other thread could not read it: it has the error, this one tries for itself
    }
    Slice *slice = find_room(shard);
    slice->number = number;
    slice->pins.store(1);
    slice->state.store(Slice::loading);
    slice->listed = true;
    shard.by_number.emplace(number, slice);
    lock.unlock();
    Entries entries(this, slice);
    load(shard, *slice);
    return entries;
  }
}

void L2Cache::load(Shard &shard, Slice &slice) {
  try {
    std::vector<std::byte> bytes(slice_entries_ * 8);
    read_(slice.number, bytes);
    decode(bytes, slice);
  } catch (...) {
    {
      std::lock_guard lock(shard.mutex);
      shard.by_number.erase(slice.number);
      slice.listed = false;
    }
    slice.state.store(Slice::failed);
    slice.state.notify_all();
    throw;
  }
  slice.used.store(true);
  slice.state.store(Slice::ready);
  slice.state.notify_all();
}

void L2Cache::decode(std::span<const std::byte> bytes, Slice &slice) const {
  bool empty = true;
  for (uint64_t i = 0; i < slice_entries_; ++i) {
    uint64_t word = load_be<uint64_t>(&bytes[i * 8]);
    empty = empty && word == 0;
    slice.words[i].store(Entries::hidden(word), std::memory_order_relaxed);
  }
  slice.changed.store(false);
  slice.reserved.store(!empty);
}

std::vector<Entries> L2Cache::take_changed() {
  std::vector<Entries> all;
  for (Shard &shard : *shards_) {
    std::lock_guard lock(shard.mutex);
    for (Slice *slice : shard.changed) all.push_back(Entries(this, slice));
    taken_.fetch_add(shard.changed.size());
    changed_.fetch_sub(shard.changed.size());
    shard.changed.clear();
  }
  // Who changes one from now on puts it back on the list; who has changed it before is seen.
  for (Entries &entries : all) entries.slice_->changed.exchange(false);
  std::sort(all.begin(), all.end(),
            [](const Entries &a, const Entries &b) { return a.number() < b.number(); });
  return all;
}

}  // namespace qcow2
