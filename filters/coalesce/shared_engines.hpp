// SPDX-License-Identifier: BSD-3-Clause
//
// Which connections share an engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/util/mutex.hpp"
#include "filters/coalesce/cache/memory_budget.hpp"
#include "filters/coalesce/counters.hpp"
#include "filters/coalesce/engine.hpp"

namespace coalesce {

// The engines of the server, by export. Each has an equal share of the memory. An engine lives until
// the last connection that uses it has left. Any thread may call any method.
class SharedEngines {
 public:
  // memory: for all engines together, in bytes.
  explicit SharedEngines(uint64_t memory) : budget_(memory) {}

  const MemoryBudget &budget() const { return budget_; }
  const Counters &counters() const { return counters_; }  // of all engines

  using Make = std::function<std::unique_ptr<Engine>(MemoryBudget &, Counters &)>;
  // The engine of an export; leave() must follow. `shared`: all connections to the export see the same
  // disk, so an existing engine for a disk of this size is used. `make` is called with the lock held, and
  // must do no I/O.
  Engine &join(const std::string &name, uint64_t size, bool shared, const Make &make)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // If no other connection uses the engine, it has ended when this returns, and so has its I/O. When no
  // engine is left, memory kept for later buffers goes back to the system.
  void leave(Engine &engine) ABSL_LOCKS_EXCLUDED(mutex_);

  // An export was written to: see Engine::invalidate(). The others may show the same disk: many plugins ignore the name, and
  // the engines with TLS are others.
  void invalidate(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    std::string name;
    bool shared;
    std::unique_ptr<Engine> engine;
    unsigned connections;  // that use it
  };
  // One connection fewer uses it. Returns the engine, out of the list, if that was the last.
  std::unique_ptr<Engine> take_unused(const Engine &engine) ABSL_LOCKS_EXCLUDED(mutex_);
  void update_shares() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MemoryBudget budget_;
  Counters counters_;
  // Taken before the lock of an engine (ReadAhead::mutex) and that of the budget. Held for no I/O: an
  // engine, which waits for its own when it is destroyed, is destroyed without it.
  util::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace coalesce
