// SPDX-License-Identifier: BSD-3-Clause
//
// Which connections share an engine.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "filters/coalesce/cache/buffer.hpp"
#include "filters/coalesce/engine.hpp"

namespace coalesce {

// The engines alive, by export. May be used by any thread. An engine lives as long as one of the
// connections that hold it.
class Exports {
 public:
  // `memory`: for all engines together, in bytes; each has an equal share.
  explicit Exports(uint64_t memory) : budget_(memory) {}

  const Budget &budget() const { return budget_; }
  const Counters &counters() const { return counters_; }  // of all engines

  using Make = std::function<std::shared_ptr<Engine>(Budget &, Counters &)>;
  // The engine of an export. `shared`: other connections see the same disk, so one that is there
  // and of the same size is taken.
  std::shared_ptr<Engine> join(const std::string &name, uint64_t size, bool shared,
                               const Make &make);
  // Gives the engine up; if nobody else has it, it is gone when this returns.
  void leave(std::shared_ptr<Engine> &engine);

  // Something was written to the export: see Engine::invalidate().
  void invalidate(const std::string &name, extents::Range range);

 private:
  struct Entry {
    std::string name;
    bool shared;
    std::weak_ptr<Engine> engine;
  };
  void share_out();  // with the lock held

  Budget budget_;
  Counters counters_;
  std::mutex mutex_;  // protects entries_
  std::vector<Entry> entries_;
};

}  // namespace coalesce
