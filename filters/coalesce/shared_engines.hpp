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
// the last connection that holds it has left. Any thread may call any method.
class SharedEngines {
 public:
  // memory: for all engines together, in bytes.
  explicit SharedEngines(uint64_t memory) : budget_(memory) {}

  const MemoryBudget &budget() const { return budget_; }
  const Counters &counters() const { return counters_; }  // of all engines

  using Make = std::function<std::shared_ptr<Engine>(MemoryBudget &, Counters &)>;
  // The engine of an export. `shared`: all connections to the export see the same disk, so an existing
  // engine for a disk of this size is used.
  std::shared_ptr<Engine> join(const std::string &name, uint64_t size, bool shared,
                               const Make &make);
  // Resets the pointer. If no other connection holds the engine, it has ended when this returns. When
  // no engine is left, memory kept for later buffers goes back to the system.
  void leave(std::shared_ptr<Engine> &engine);

  // The export was written to: see Engine::invalidate().
  void invalidate(const std::string &name, extents::Range range);

 private:
  struct Entry {
    std::string name;
    bool shared;
    std::weak_ptr<Engine> engine;
  };
  void update_shares() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MemoryBudget budget_;
  Counters counters_;
  // Taken before the lock of an engine (ReadAhead::mutex) and that of the budget.
  util::Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace coalesce
