// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/pull_client.hpp"

#include <algorithm>
#include <cerrno>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace pull {

using extents::Extent;
using extents::Range;

void FlushScope::flush_now(LocalDisk &local, StateSaver &state) {
  const auto flush = presence_.begin_flush(pending_);
  try {
    local.flush();
  } catch (...) {
    presence_.end_flush(pending_, flush, false);
    throw;
  }
  presence_.end_flush(pending_, flush, true);
  REPLICATE_SYNC_POINT("pull.flushed");
  state.save();
}

PullClient::PullClient(const Parts &parts, FlushScope *shared)
    : parts_(parts),
      own_scope_(shared != nullptr ? nullptr : std::make_unique<FlushScope>(parts.presence)),
      scope_(shared != nullptr ? *shared : *own_scope_),
      failures_heard_(parts.presence.failed_flushes()) {}

void PullClient::read(std::span<std::byte> buffer, uint64_t offset) {
  parts_.counters.read += buffer.size();
  const Range range{offset, buffer.size()};
  if (parts_.whole) return parts_.local.read(buffer, offset);
  if (parts_.workers != nullptr) parts_.workers->note_read(range);
  for (;;) {
    const uint64_t losses = parts_.presence.losses();
    bring_here(range);
    REPLICATE_SYNC_POINT("pull.before_read");
    parts_.local.read(buffer, offset);
    // What was lost at the local disk meanwhile may be what was read.
    if (parts_.presence.losses() == losses || parts_.presence.here(range)) return;
  }
}

// The client waits for what it needs, and the background fetches what else is in the chunks.
void PullClient::bring_here(Range range) {
  bool told = false;
  while (!parts_.presence.here(range)) {
    const Range missing = parts_.presence.first_missing(range);
    if (missing.empty()) return;
    const Range chunk = parts_.workers->chunk_of(missing.offset);
    if (!told && range.end() > chunk.end())
      parts_.workers->want({chunk.end(), range.end() - chunk.end()});
    told = true;
    fetch(needed(range, chunk));
    if (!parts_.presence.here(chunk)) parts_.workers->want(chunk);
  }
}

void PullClient::fetch(Range range) {
  const util::Waiters::Wait wait(parts_.waiting);
  try {
    parts_.fetcher.fetch(range, Waiting::client);
  } catch (const util::Error &e) {
    if (e.errnum() == EINTR) util::fail(ESHUTDOWN, "{}", e.what());
    throw;
  }
}

// Whole pieces of 64 KiB of one chunk, so that what is here does not become too many ranges.
Range PullClient::needed(Range range, Range chunk) {
  constexpr uint64_t piece = 64u << 10;
  range = extents::intersect(range, chunk);
  const uint64_t start = std::max(range.offset - range.offset % piece, chunk.offset);
  const uint64_t end = std::min((range.end() + piece - 1) / piece * piece, chunk.end());
  return {start, end - start};
}

// The range is held until it is marked as written, so that no fetch overwrites it (see ChunkFetcher).
template <typename F>
void PullClient::change(Range range, bool durable, F &&f) {
  parts_.counters.written += range.length;
  if (parts_.workers != nullptr && !parts_.whole) parts_.workers->note_client();
  parts_.state.claim_written();
  const bool is_saved = parts_.state.is_saved(range);
  auto change_now = [&](bool now) {
    const extents::RangeLock::Hold hold(parts_.changes, range);
    f(now);
    REPLICATE_SYNC_POINT("pull.written");
    parts_.presence.written(range, scope_.pending());
  };
  if (durable && is_saved) return make_durable([&] { change_now(true); });
  change_now(false);
  if (durable) flush();
}

template <typename F>
void PullClient::make_durable(F &&request) {
  const Presence::Sync sync = parts_.presence.begin_sync();
  try {
    request();
  } catch (...) {
    parts_.presence.end_sync(sync, false);
    throw;
  }
  if (!parts_.presence.end_sync(sync, true)) fail_because_lost();
}

void PullClient::write(std::span<const std::byte> buffer, uint64_t offset, bool durable) {
  change({offset, buffer.size()}, durable,
         [&](bool now) { parts_.local.write(buffer, offset, now); });
}

void PullClient::zero(Range range, LocalDisk::Hole hole, bool durable) {
  change(range, durable, [&](bool now) { parts_.local.zero(range, hole, now); });
}

void PullClient::fast_zero(Range range, LocalDisk::Hole hole, bool durable) {
  change(range, false, [&](bool) { parts_.local.fast_zero(range, hole); });
  if (durable) flush();
}

// A flush that failed, of another client or of the background, may have lost what this one has written, and the next
// one of the disk below need not say so again.
void PullClient::flush() {
  try {
    scope_.flush(parts_.local, parts_.state);
  } catch (...) {
    hear_of_failures();
    throw;
  }
  if (hear_of_failures()) fail_because_lost();
}

void PullClient::fail_because_lost() {
  util::fail(
      EIO,
      "pull: an earlier flush of the disk below has failed: what was written before may be lost");
}

bool PullClient::hear_of_failures() {
  const uint64_t now = parts_.presence.failed_flushes();
  return failures_heard_.exchange(now) != now;
}

void PullClient::cache(Range range) {
  if (!parts_.whole) bring_here(range);
}

std::vector<Extent> PullClient::extents(Range range) {
  if (parts_.whole) return parts_.local.extents(range);
  constexpr size_t most = 4096;  // more are asked for again
  std::vector<Extent> list;
  for (Range rest = range; !rest.empty() && list.size() < most;) {
    const Range missing = parts_.presence.first_missing(rest);
    Range part{rest.offset, missing.empty() ? rest.length : missing.offset - rest.offset};
    if (part.empty()) {
      part = missing;
      const Extent source = parts_.map.at(part.offset);
      part = extents::intersect(part, source.range());
      list.push_back({part.offset, part.length, source.type});
    } else {
      const auto here = parts_.local.extents(part);
      list.insert(list.end(), here.begin(), here.end());
      part.length = here.back().end() - part.offset;
    }
    rest = {part.end(), rest.end() - part.end()};
  }
  return list;
}

}  // namespace pull
