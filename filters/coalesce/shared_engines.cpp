// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/shared_engines.hpp"

#include <algorithm>

#include "common/durability/sync_point.hpp"

namespace coalesce {

void SharedEngines::update_shares() {
  for (const Entry &e : entries_) e.engine->set_share(budget_.limit() / entries_.size());
}

Engine &SharedEngines::join(const std::string &name, uint64_t size, bool shared, const Make &make) {
  util::MutexLock lock(mutex_);
  for (Entry &e : entries_) {
    if (!shared || !e.shared || e.name != name || e.engine->size() != size) continue;
    ++e.connections;
    return *e.engine;
  }
  entries_.push_back({name, shared, make(budget_, counters_), 1});
  update_shares();
  return *entries_.back().engine;
}

std::unique_ptr<Engine> SharedEngines::take_unused(const Engine &engine) {
  util::MutexLock lock(mutex_);
  auto entry = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry &e) { return e.engine.get() == &engine; });
  if (--entry->connections > 0) return nullptr;
  auto unused = std::move(entry->engine);
  entries_.erase(entry);
  update_shares();
  return unused;
}

void SharedEngines::leave(Engine &engine) {
  REPLICATE_SYNC_POINT("coalesce.leave");
  take_unused(engine).reset();  // waits for its I/O, without the lock
  util::MutexLock lock(mutex_);
  if (entries_.empty()) budget_.drop_spares();
}

void SharedEngines::invalidate(extents::Range range) {
  util::MutexLock lock(mutex_);
  for (const Entry &e : entries_) e.engine->invalidate(range);
}

}  // namespace coalesce
