// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/engine.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "filters/coalesce/plan/merge_gaps.hpp"

namespace coalesce {

namespace {

// As much as merged_extents() describes at most, and while reads without gaps are on trial; bytes.
constexpr uint64_t merged_length = 32u << 20, trial_length = 8u << 20;

}  // namespace

Engine::Engine(const Settings &settings, MemoryBudget &budget, Counters &counters, util::Log log,
               Workers::Connect connect)
    : settings_(settings),
      counters_(counters),
      read_ahead_(settings_, budget, counters),
      fetcher_(settings_, read_ahead_, counters),
      workers_(settings_, read_ahead_, fetcher_, std::move(log), std::move(connect)) {}

void Engine::set_share(uint64_t bytes) {
  util::MutexLock lock(read_ahead_.mutex);
  read_ahead_.cache().set_share(bytes);
}

Engine::Lookup Engine::look_up(LowerConnection &connection, extents::Range request) {
  Lookup lookup;
  util::MutexLock lock(read_ahead_.mutex);
  Stream *stream = read_ahead_.observe(request);
  if (stream != nullptr) {
    if (auto query = read_ahead_.query_for(*stream, request)) {
      lock.unlock();
      fetcher_.query(connection, *query);
      lock.lock();
      stream = read_ahead_.find_stream(query->stream);
    }
  }
  if (stream != nullptr) {
    lookup.claimed = read_ahead_.claim(*stream, request);
    workers_.wake();
  }
  lookup.parts = read_ahead_.cache().split(request);
  count_hit(lookup);
  return lookup;
}

void Engine::read(LowerConnection &connection, std::span<std::byte> buffer, uint64_t offset) {
  const extents::Range request{offset, buffer.size()};
  ++counters_.requests;
  counters_.bytes += request.length;
  if (request.length >= settings_.chunk) return fetcher_.read_direct(connection, buffer, offset);
  if (read_ahead_.aside.on()) return fetcher_.pass_by(connection, buffer, offset);

  const Lookup lookup = look_up(connection, request);
  auto place = [&](extents::Range r) { return buffer.subspan(r.offset - offset, r.length); };
  auto read_direct = [&](extents::Range r) {
    fetcher_.read_direct(connection, place(r), r.offset);
  };

  // The layer below gets no more requests than without the filter: if several parts are in no chunk,
  // the whole request is read at once.
  const auto in_no_chunk = std::count_if(lookup.parts.begin(), lookup.parts.end(),
                                         [](const auto &part) { return !part.chunk; });
  const bool read_whole = in_no_chunk > 1;
  if (read_whole) {
    read_direct(request);
  } else if (in_no_chunk == 1) {
    for (const auto &part : lookup.parts) {
      if (!part.chunk) read_direct(part.range);
    }
  }
  if (lookup.claimed) fetcher_.fetch(connection, lookup.claimed);
  for (const auto &part : lookup.parts) {
    if (!part.chunk) continue;
    if (read_whole) {
      mark_read(part);
    } else if (!copy(part, place(part.range))) {
      read_direct(part.range);  // the chunk is gone
    }
  }
}

void Engine::count_hit(const Lookup &lookup) {
  if (lookup.claimed) return;
  bool waits = false;
  for (const auto &part : lookup.parts) {
    if (!part.chunk) return;
    waits = waits || read_ahead_.cache().state(*part.chunk) == Chunk::State::in_flight;
  }
  ++(waits ? counters_.waits : counters_.hits);
}

// Waits until the chunk has been fetched. False if it is gone.
bool Engine::copy(const ChunkMap::Part &part, std::span<std::byte> to) {
  Chunk &chunk = *part.chunk;
  REPLICATE_SYNC_POINT("coalesce.copy");
  {
    util::MutexLock lock(read_ahead_.mutex);
    Chunk::State state;
    while ((state = read_ahead_.cache().state(chunk)) == Chunk::State::in_flight) {
      REPLICATE_SYNC_POINT("coalesce.copy_waits");
      chunk.finished.wait(lock);
    }
    if (state == Chunk::State::gone) return false;
  }
  const auto from =
      chunk.buffer.bytes().subspan(part.range.offset - chunk.range.offset, part.range.length);
  std::memcpy(to.data(), from.data(), from.size());
  mark_read(part);
  return true;
}

void Engine::mark_read(const ChunkMap::Part &part) {
  util::MutexLock lock(read_ahead_.mutex);
  if (read_ahead_.cache().mark_read(part.chunk, part.range)) workers_.wake();
}

std::vector<extents::Extent> Engine::extents(LowerConnection &connection, extents::Range range,
                                             bool only_first) {
  std::vector<extents::Extent> list;
  uint64_t generation;
  {
    util::MutexLock lock(read_ahead_.mutex);
    const KnownExtents &known = read_ahead_.extents();
    generation = known.generation();
    // Once the disk was written to, the layer below is asked every time.
    if (!known.written()) list = known.known(range, only_first ? 1 : ~size_t{0});
  }
  if (only_first && !list.empty()) return list;
  const uint64_t at = list.empty() ? range.offset : list.back().end();
  if (at >= range.end()) return list;

  const auto rest = connection.extents({at, range.end() - at});
  for (const auto &e : rest) {
    if (!list.empty() && list.back().type == e.type) {
      list.back().length += e.length;
    } else {
      list.push_back(e);
    }
  }
  util::MutexLock lock(read_ahead_.mutex);
  read_ahead_.extents().learn(generation, rest);
  return list;
}

std::vector<extents::Extent> Engine::merged_extents(LowerConnection &connection,
                                                    extents::Range range) {
  std::vector<extents::Extent> list;
  uint64_t gap;
  {
    util::MutexLock lock(read_ahead_.mutex);
    gap = read_ahead_.gap();
    range.length = std::min(range.length, read_ahead_.trial() ? trial_length : merged_length);
  }
  while (range.length > 0) {
    auto some = extents(connection, range);
    if (some.empty()) break;
    list.insert(list.end(), some.begin(), some.end());
    range = {some.back().end(), range.end() - some.back().end()};
  }
  return merge_gaps(list, gap);
}

void Engine::invalidate(extents::Range range) {
  REPLICATE_SYNC_POINT("coalesce.invalidate");
  util::MutexLock lock(read_ahead_.mutex);
  read_ahead_.extents().forget();
  read_ahead_.cache().invalidate(range);
}

}  // namespace coalesce
