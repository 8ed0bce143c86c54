// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/verification.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <list>
#include <random>
#include <vector>

#include "filters/fanout/catch_up/verify_sampler.hpp"
#include "filters/fanout/destination/failures.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;

// unreadable: one of the two cannot be read. no_primary: there is nothing to read the primary through now.
enum class Outcome { equal, differs, unreadable, no_primary };

// A block that is compared. In the ledger it is a copy, so that nothing changes it meanwhile.
struct Comparison {
  Ledger::Id id;
  Range range;
  std::vector<std::byte> theirs;
  DestinationBatch requests;
  Outcome outcome = Outcome::unreadable;
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

Outcome compare(PrimaryReaders &primary, const Comparison &c) {
  std::vector<std::byte> ours(c.range.length);
  try {
    if (!c.requests.succeeded()) return Outcome::unreadable;
    if (!primary.read(ours, c.range.offset)) return Outcome::no_primary;
  } catch (...) {  // the layer that failed has logged it
    return Outcome::unreadable;
  }
  return ours == c.theirs ? Outcome::equal : Outcome::differs;
}

void compare(DestinationConnection &connection, PrimaryReaders &primary, Comparisons &comparisons) {
  for (Comparison &c : comparisons) {
    c.theirs.resize(c.range.length);
    connection.read(c.requests, c.theirs, c.range.offset);
  }
  for (Comparison &c : comparisons) c.requests.wait();
  for (Comparison &c : comparisons) c.outcome = compare(primary, c);
}

// Of the blocks of a batch: the first. Verification starts again after the pause, until there were too many
// errors.
void on_unreadable(DestinationData &d, const Comparison &c) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  const bool behind = d.state.state() == DestinationData::State::behind;
  if (c.requests.succeeded()) {
    d.reason = fmt::format("cannot read the primary at offset {}", c.range.offset);
    d.errnum = EIO;
    d.state.request_failed(Clock::now());
  } else {
    on_failure(d, *c.requests.failure());
  }
  if (behind) d.state.pass_ended(Clock::now(), true);
  if (check_given_up(d) || !c.requests.succeeded()) return;
  d.note_reason(util::Level::warning, d.reason + "; trying again to compare it");
}

enum class Progress { more, last, failed };

// Some blocks that are read at the same time.
Progress verify_batch(DestinationData &d, VerifySampler &sampler)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  Comparisons comparisons;
  const bool more = reserve(d, sampler, comparisons);
  auto connection = d.connection;
  {
    DestinationUnlock unlock(d);
    compare(*connection, d.environment.primary, comparisons);
  }
  const Comparison *unreadable = nullptr;
  Progress progress = more ? Progress::more : Progress::last;
  for (const Comparison &c : comparisons) {
    const bool differs = c.outcome == Outcome::differs;
    if (differs) {
      ++d.counters.verify_mismatches;
      note_loss(d);
      d.state.fell_behind();
    }
    d.ledger.end(c.id, !differs, true);
    if (c.outcome == Outcome::equal || differs) continue;
    progress = Progress::failed;
    if (c.outcome == Outcome::unreadable && unreadable == nullptr) unreadable = &c;
  }
  if (unreadable != nullptr && d.connection == connection && !d.stopping) {
    on_unreadable(d, *unreadable);
  }
  d.changed.notify_all();
  return progress;
}

}  // namespace

void verify(DestinationData &d) {
  VerifySampler sampler(d.settings.verify, d.ledger.size(), std::random_device()());
  const uint64_t before = d.counters.verify_mismatches;
  Progress progress = Progress::more;
  while (progress == Progress::more && !d.stopping && d.draining && d.connection) {
    progress = verify_batch(d, sampler);
  }
  d.verified = progress == Progress::last && !d.stopping && d.connection;
  if (const uint64_t n = d.counters.verify_mismatches - before; n > 0) {
    d.note(
        util::Level::error,
        fmt::format("{} blocks of {} bytes that were read back differ from what was written, and "
                    "are copied again: do not trust the storage of that server",
                    n, DirtyMap::block));
  } else if (d.verified) {
    d.note(util::Level::info, fmt::format("{:g}% of the blocks were read back: all are equal",
                                          d.settings.verify * 100));
  }
}

}  // namespace fanout
