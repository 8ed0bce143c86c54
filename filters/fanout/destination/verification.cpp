// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/verification.hpp"

#include <fmt/format.h>

#include <list>
#include <random>
#include <vector>

#include "filters/fanout/catch_up/verify_sampler.hpp"
#include "filters/fanout/destination/failures.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;

// A block that is compared. In the ledger it is a copy, so that nothing changes it meanwhile.
struct Comparison {
  Ledger::Id id;
  Range range;
  std::vector<std::byte> theirs;
  DestinationBatch requests;
  bool equal = true;
};
using Comparisons = std::list<Comparison>;

// False: the sampler has no more blocks.
bool reserve(DestinationData &d, VerifySampler &sampler, Comparisons &comparisons)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  constexpr size_t most = 16;
  while (comparisons.size() < most) {
    auto range = sampler.next();
    if (!range) return false;
    auto id = d.ledger.reserve(*range);
    if (!id) continue;
    Comparison &comparison = comparisons.emplace_back();
    comparison.id = *id;
    comparison.range = *range;
  }
  return true;
}

void compare(DestinationConnection &connection, PrimaryReaders &primary, Comparisons &comparisons) {
  for (Comparison &c : comparisons) {
    c.theirs.resize(c.range.length);
    connection.read(c.requests, c.theirs, c.range.offset);
  }
  for (Comparison &c : comparisons) c.requests.wait();
  std::vector<std::byte> ours;
  for (Comparison &c : comparisons) {
    ours.resize(c.range.length);
    try {
      if (!c.requests.succeeded() || !primary.read(ours, c.range.offset)) continue;
    } catch (...) {  // the layer that failed has logged it
      continue;
    }
    c.equal = ours == c.theirs;
  }
}

// Some blocks that are read at the same time. False: those were the last.
bool verify_batch(DestinationData &d, VerifySampler &sampler)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  Comparisons comparisons;
  const bool more = reserve(d, sampler, comparisons);
  auto connection = d.connection;
  {
    DestinationUnlock unlock(d);
    compare(*connection, d.environment.primary, comparisons);
  }
  for (const Comparison &c : comparisons) {
    if (!c.equal) {
      ++d.counters.verify_mismatches;
      note_loss(d);
    }
    d.ledger.end(c.id, c.equal, true);
    if (c.requests.succeeded() || d.connection != connection || d.stopping) continue;
    // A read has failed. Verification starts again after the pause, until there were too many
    // errors.
    on_failure(d, *c.requests.failure());
    d.state.pass_ended(Clock::now(), true);
    check_given_up(d);
  }
  d.changed.notify_all();
  return more;
}

}  // namespace

void verify(DestinationData &d) {
  VerifySampler sampler(d.settings.verify, d.ledger.size(), std::random_device()());
  const uint64_t before = d.counters.verify_mismatches;
  while (!d.stopping && d.draining && !d.verified) {
    d.verified = !verify_batch(d, sampler);
    if (d.stopping || !d.connection || d.state.pausing(Clock::now())) {
      d.verified = false;
      return;
    }
  }
  if (!d.verified) return;
  if (const uint64_t n = d.counters.verify_mismatches - before; n > 0) {
    d.note(
        util::Level::error,
        fmt::format("{} blocks of {} bytes that were read back differ from what was written, and "
                    "are copied again: do not trust the storage of that server",
                    n, DirtyMap::block));
    d.state.fell_behind();
  } else {
    d.note(util::Level::info, fmt::format("{:g}% of the blocks were read back: all are equal",
                                          d.settings.verify * 100));
  }
}

}  // namespace fanout
