// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/spot_check.hpp"

#include <fmt/format.h>

#include <list>
#include <optional>
#include <random>
#include <vector>

#include "common/util/zero.hpp"
#include "filters/fanout/catch_up/spot_blocks.hpp"
#include "filters/fanout/destination/failures.hpp"

namespace fanout {

namespace {

// Zeroes tell little about a disk: blocks of data are looked for.
constexpr size_t wanted = 16;      // blocks that are not zero
constexpr size_t most_read = 128;  // blocks of the primary, to find those
constexpr size_t at_once = 4;      // so that requests of clients do not wait for long

struct Spot {
  explicit Spot(Range where) : range(where), ours(where.length), theirs(where.length) {}
  const Range range;
  std::vector<std::byte> ours, theirs;
  bool readable = false;  // the primary
  DestinationBatch requests;

  bool zero() const { return util::is_zero(std::span(ours)); }
  bool equal() const { return !readable || !requests.succeeded() || ours == theirs; }
};
using Spots = std::list<Spot>;

// Blocks that the destination should have. A client may be writing to them.
Spots choose(DestinationData &d, SpotBlocks &blocks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  Spots spots;
  while (spots.size() < at_once) {
    auto range = blocks.next();
    if (!range) break;
    if (d.ledger.may_go_direct(*range)) spots.emplace_back(*range);
  }
  return spots;
}

void read_primary(PrimaryReaders &primary, Spot &spot) {
  try {
    spot.readable = primary.read(spot.ours, spot.range.offset);
  } catch (...) {  // the layer that failed has logged it
  }
}

void read_destination(DestinationConnection &connection, Spots &spots) {
  for (Spot &s : spots) connection.read(s.requests, s.theirs, s.range.offset, Limit::none);
  for (Spot &s : spots) s.requests.wait();
}

// Compares it again while nothing changes it. Without an answer if a client is writing to it.
std::optional<bool> differs_undisturbed(DestinationData &d, Range range)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  auto id = d.ledger.reserve(range);
  if (!id) return std::nullopt;
  auto connection = d.connection;
  Spots spots;
  Spot &spot = spots.emplace_back(range);
  {
    DestinationUnlock unlock(d);
    read_primary(d.environment.primary, spot);
    read_destination(*connection, spots);
  }
  const bool differs = !spot.equal();
  d.ledger.end(*id, !differs, true);
  d.changed.notify_all();
  return differs;
}

void owe_all(DestinationData &d, uint64_t offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(d.mutex) {
  ++d.counters.verify_mismatches;
  d.ledger.owe({0, d.ledger.size()});
  note_loss(d);
  d.converging = false;
  d.state.fell_behind();
  d.note(util::Level::warning,
         fmt::format("this is not the copy that it should be: at offset {} it differs from the "
                     "primary, and that is not owed (another disk, an older copy or an empty one); "
                     "it is copied as a whole, {}",
                     offset, d.owed_text()));
  d.changed.notify_all();
}

}  // namespace

void spot_check(DestinationData &d) {
  SpotBlocks blocks(d.ledger.size(), std::random_device()());
  const auto connection = d.connection;
  size_t compared = 0, data = 0, read = 0;
  while (data < wanted && read < most_read) {
    Spots spots = choose(d, blocks);
    if (spots.empty()) break;
    read += spots.size();
    {
      DestinationUnlock unlock(d);
      for (Spot &s : spots) read_primary(d.environment.primary, s);
      // Some zeroes are compared as well: there may be nothing else.
      spots.remove_if(
          [&](const Spot &s) { return !s.readable || (s.zero() && compared >= wanted); });
      read_destination(*connection, spots);
    }
    if (d.stopping || d.connection != connection) return;
    for (const Spot &s : spots) {
      if (!s.requests.succeeded()) {
        const nbd::Failure &failure = *s.requests.failure();
        if (is_connection_lost(failure.errnum)) return on_failure(d, failure);
        d.note(util::Level::warning, failure.what + ": the destination cannot be compared");
        d.spot_check_due = false;
        return;
      }
      ++compared;
      if (!s.zero()) ++data;
      if (s.equal() || !differs_undisturbed(d, s.range).value_or(false)) continue;
      d.spot_check_due = false;
      return owe_all(d, s.range.offset);
    }
    if (d.stopping || d.connection != connection) return;
  }
  d.spot_check_due = false;
  d.note(util::Level::info, fmt::format("{} blocks were compared: all are equal", compared));
}

}  // namespace fanout
