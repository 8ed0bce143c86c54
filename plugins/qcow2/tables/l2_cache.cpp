// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/tables/l2_cache.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "common/durability/sync_point.hpp"
#include "common/util/mutex.hpp"
#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

// Exists as long as the cache, and holds one slice of a table after another.
struct Entries::Slice {
  enum State : uint32_t { loading, ready, failed };
  enum Space : uint32_t { unknown, reserving, reserved };  // in the file

  // With memory of the cache, or of its own.
  explicit Slice(Word *of_cache) : words(of_cache) {}
  explicit Slice(uint64_t entries) : own(std::make_unique<Word[]>(entries)), words(own.get()) {}

  uint64_t number = 0;             // set before another thread can find the slice
  bool listed = false;             // in by_number; protected by the shard's mutex
  std::atomic<uint32_t> pins = 0;  // raised from 0 only with the shard's mutex held
  std::atomic<uint32_t> state = loading;
  std::atomic<bool> used = false;     // since the hand of the clock has passed
  std::atomic<bool> changed = false;  // set and cleared with the shard's mutex held
  std::atomic<Space> space = unknown;
  std::unique_ptr<Word[]> own;
  Word *const words;
};

struct L2Cache::Shard {
  util::Mutex mutex;  // not held for I/O
  std::unordered_map<uint64_t, Slice *> by_number ABSL_GUARDED_BY(mutex);
  std::vector<std::unique_ptr<Slice>> slices ABSL_GUARDED_BY(mutex);
  size_t hand ABSL_GUARDED_BY(mutex) = 0;               // of the clock
  std::vector<Slice *> changed ABSL_GUARDED_BY(mutex);  // each with a pin

  // A slice that no other thread can find.
  Slice *find_room(L2Cache &cache) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
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

// The mark is set only while the slice is on the list, and both change with the shard's mutex held. The
// fast path reads the mark without it. The change of the entry, this read, the flush's clearing of the mark
// and its reading of the entries are all sequentially consistent, so there is one order of them: the thread
// changes the entry before it reads the mark, and a flush clears the mark before it reads the entries. If
// the mark is set here, no flush has cleared it yet, and the flush that will do so sees the change.
void Entries::changed() {
  if (slice_->changed.load()) return;
  L2Cache::Shard &shard = cache_->shard_of(slice_->number);
  util::MutexLock lock(shard.mutex);
  if (slice_->changed.load()) return;
  shard.changed.push_back(slice_);
  slice_->pins.fetch_add(1);
  cache_->changed_.fetch_add(1);
  REPLICATE_SYNC_POINT("qcow2.slice_changed");
  slice_->changed.store(true);
}

uint64_t Entries::number() const {
  return slice_->number;
}

bool Entries::begin_reserve() {
  std::atomic<Slice::Space> &space = slice_->space;
  for (Slice::Space seen = space.load(); seen != Slice::reserved; seen = space.load()) {
    if (seen == Slice::reserving) {
      space.wait(seen);
    } else if (space.compare_exchange_strong(seen, Slice::reserving)) {
      return true;
    }
  }
  return false;
}

void Entries::end_reserve(bool succeeded) {
  slice_->space.store(succeeded ? Slice::reserved : Slice::unknown);
  slice_->space.notify_all();
}

void Entries::encode(std::vector<std::byte> &to) const {
  size_t at = to.size();
  to.resize(at + cache_->slice_entries_ * 8);
  for (uint64_t i = 0; i < cache_->slice_entries_; ++i, at += 8) {
    store_be<uint64_t>(&to[at], visible(slice_->words[i].load()));
  }
}

namespace {

// The memory of a slice beside its entries: the structure, its place in the tables, malloc's
// overhead.
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

// The memory of the slices within the limit is one mapping: malloc would spread it over the heaps
// of many threads.
std::unique_ptr<L2Cache::Slice> L2Cache::make_slice() {
  size_t n = words_used_.load();
  while (n < slices_ && !words_used_.compare_exchange_weak(n, n + 1)) {
  }
  if (n == slices_) return std::make_unique<Slice>(slice_entries_);
  return std::make_unique<Slice>(words_.words() + n * slice_entries_);
}

// The clock algorithm: the hand goes round at most twice. The first time it passes a slice it
// clears the slice's `used`.
L2Cache::Slice *L2Cache::Shard::find_room(L2Cache &cache) {
  const size_t limit = cache.slices_ / shard_count;
  if (slices.size() >= limit) {
    for (size_t i = 0; i < 2 * slices.size(); ++i) {
      hand = (hand + 1) % slices.size();
      Slice *slice = slices[hand].get();
      if (slice->pins.load() != 0 || slice->used.exchange(false)) continue;
      if (slice->listed) by_number.erase(slice->number);
      slice->listed = false;
      if (slices.size() == limit || !slice->own) return slice;
      // This one is beyond the limit and is freed; the next one found is returned.
      std::swap(slices[hand], slices.back());
      slices.pop_back();
    }
  }
  slices.push_back(cache.make_slice());
  return slices.back().get();
}

Entries L2Cache::pin(uint64_t number) {
  Shard &shard = shard_of(number);
  for (;;) {
    util::MutexLock lock(shard.mutex);
    if (auto found = shard.by_number.find(number); found != shard.by_number.end()) {
      Slice *slice = found->second;
      slice->pins.fetch_add(1);
      slice->used.store(true);
      lock.unlock();
      Entries entries(this, slice);
      if (slice->state.load() == Slice::loading) slice->state.wait(Slice::loading);
      if (slice->state.load() == Slice::ready) return entries;
      continue;  // the other thread could not read it and reports the error; try again
    }
    Slice *slice = shard.find_room(*this);
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
      util::MutexLock lock(shard.mutex);
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
  slice.space.store(empty ? Slice::unknown : Slice::reserved);
}

std::vector<Entries> L2Cache::take_changed() {
  std::vector<Entries> all;
  for (Shard &shard : *shards_) {
    util::MutexLock lock(shard.mutex);
    all.reserve(all.size() + shard.changed.size());
    for (Slice *slice : shard.changed) {
      slice->changed.store(false);  // before its entries are read, see Entries::changed()
      all.push_back(Entries(this, slice));
    }
    taken_.fetch_add(shard.changed.size());
    changed_.fetch_sub(shard.changed.size());
    shard.changed.clear();
  }
  std::sort(all.begin(), all.end(),
            [](const Entries &a, const Entries &b) { return a.number() < b.number(); });
  return all;
}

}  // namespace qcow2
