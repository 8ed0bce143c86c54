// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/shared_engines.hpp"

namespace coalesce {

void SharedEngines::update_shares() {
  std::erase_if(entries_, [](const Entry &e) { return e.engine.expired(); });
  for (const Entry &e : entries_) {
    if (auto engine = e.engine.lock()) engine->set_share(budget_.limit() / entries_.size());
  }
}

std::shared_ptr<Engine> SharedEngines::join(const std::string &name, uint64_t size, bool shared,
                                            const Make &make) {
  util::MutexLock lock(mutex_);
  if (shared) {
    for (const Entry &e : entries_) {
      if (!e.shared || e.name != name) continue;
      if (auto engine = e.engine.lock(); engine && engine->size() == size) return engine;
    }
  }
  auto engine = make(budget_, counters_);
  entries_.push_back({name, shared, engine});
  update_shares();
  return engine;
}

void SharedEngines::leave(std::shared_ptr<Engine> &engine) {
  engine.reset();
  util::MutexLock lock(mutex_);
  update_shares();
  if (entries_.empty()) budget_.drop_spares();
}

void SharedEngines::invalidate(const std::string &name, extents::Range range) {
  util::MutexLock lock(mutex_);
  for (const Entry &e : entries_) {
    if (e.name != name) continue;
    if (auto engine = e.engine.lock()) engine->invalidate(range);
  }
}

}  // namespace coalesce
