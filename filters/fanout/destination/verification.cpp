// SPDX-License-Identifier: BSD-3-Clause
//
// Trust, but check: blocks are read back from a destination and compared with the primary.
#include <list>
#include <random>
#include <vector>

#include "filters/fanout/destination/destination.hpp"

namespace fanout {

void Destination::verify(Guard &guard) {
  Sampler sampler(settings_.verify, ledger_.size(), std::random_device()());
  uint64_t before = counters_.differences;
  while (!stop_ && draining_ && !verified_) {
    verified_ = !verify_batch(guard, sampler);
    if (stop_ || !link_ || machine_.pausing(Clock::now())) {
      verified_ = false;
      return;
    }
  }
  if (!verified_) return;
  if (uint64_t n = counters_.differences - before; n > 0) {
    note(
        util::Level::error,
        fmt::format("{} blocks of {} bytes that were read back are not what was written there, and "
                    "are copied again: do not trust that server's storage",
                    n, DirtyMap::block));
    machine_.owes();
    unsaved_ = true;
  } else {
    note(util::Level::info,
         fmt::format("{:g}% of the blocks were read back: all are equal", settings_.verify * 100));
  }
}

bool Destination::verify_batch(Guard &guard, Sampler &sampler) {
  struct Look {
    Ledger::Id id;
    Range range;
    std::vector<std::byte> theirs;
    Outcome outcome;
  };
  constexpr size_t most = 16;
  std::list<Look> looks;
  bool more = true;
  while (looks.size() < most && more) {
    auto range = sampler.next();
    more = range.has_value();
    if (!more) break;
    auto id = ledger_.reserve(*range);
    if (!id) continue;
    Look &look = looks.emplace_back();
    look.id = *id;
    look.range = *range;
  }
  auto link = link_;
  guard.unlock();
  {
    Gather gather;
    for (Look &look : looks) {
      look.theirs.resize(look.range.length);
      link->read(gather, look.outcome, look.theirs, look.range.offset);
    }
  }
  std::vector<std::byte> ours;
  std::vector<bool> equal;
  for (Look &look : looks) {
    ours.resize(look.range.length);
    bool read = false;
    try {
      read = look.outcome.good() && means_.readers.read(ours, look.range.offset);
    } catch (...) {  // reported by what failed
    }
    equal.push_back(!read || ours == look.theirs);
  }
  guard.lock();
  size_t i = 0;
  for (Look &look : looks) {
    if (!equal[i]) ++counters_.differences;
    ledger_.end(look.id, equal[i++], true);
    if (look.outcome.good() || link_ != link || stop_) continue;
    // It is verified again when it has come back; if it answers with errors, it is given up in time.
    trouble(*look.outcome.failure());
    machine_.pass_ended(Clock::now(), true);
    if (machine_.given_up()) gave_up();
  }
  changed_.notify_all();
  return more;
}

}  // namespace fanout
