// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/prefetch/read_ahead.hpp"

#include <algorithm>
#include <bit>

#include "filters/coalesce/plan/planner.hpp"

namespace coalesce {

namespace {

// Nothing further ahead of a stream is considered; bytes.
constexpr uint64_t max_distance = 1u << 30;
// Extents are queried for this much at a time, as nbdcopy does; bytes.
constexpr uint64_t query_length = 128u << 20;
// So many reads under way keep a layer busy, however many there may be.
constexpr unsigned usual_workers = 4;
// A gap that is shorter is read with the data, whatever the reads have taken; bytes.
constexpr uint64_t always_read = 32u << 10;

}  // namespace

ReadAhead::ReadAhead(const Settings &settings, MemoryBudget &budget, Counters &counters)
    : aside(settings.fast_read),
      settings_(settings),
      counters_(counters),
      streams_(2 * settings.chunk),
      cache_(settings.size, budget, counters, streams_),
      extents_(settings.size),
      planner_(settings, extents_, cache_),
      slow_reads_(settings.fast_read),
      cost_(settings.chunk, std::min(settings.workers, usual_workers)),
      window_(settings) {
  for (const auto &range : settings.priority) {
    if (range.offset >= settings.size) continue;
    streams_.pin({range.offset, std::min(range.end(), settings.size) - range.offset});
  }
}

bool ReadAhead::prefetched(extents::Range request) {
  if (cache_.empty()) return false;
  ChunkPtr chunk = cache_.split(request).front().chunk;
  if (!chunk) return false;
  // A read of a range with priority does not tell where its client goes on.
  const Stream *owner = streams_.find(chunk->stream);
  return owner == nullptr || !owner->pinned;
}

void ReadAhead::update_alignment(Stream &stream, extents::Range request) {
  // A client that reads whole blocks although a part of them is no data does not look at extents
  // closely.
  auto known = extents_.known(request);
  bool all_data = std::all_of(known.begin(), known.end(), [](auto &e) { return is_data(e.type); });
  bool aligned = std::has_single_bit(request.length) && request.offset % request.length == 0;
  if (!all_data && aligned) {
    stream.request_align = request.length;
  } else if (request.offset % stream.request_align != 0) {
    stream.request_align = 1;
  }
}

Stream *ReadAhead::observe(extents::Range request) {
  auto data_between = [this](uint64_t from, uint64_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return planner_.data_between(from, to, streams_.slack());
  };
  Stream *stream = streams_.observe(request, prefetched(request), data_between);
  if (stream == nullptr) return nullptr;
  if (stream->sequential()) {
    if (stream->reads == 2) ++counters_.streams;
    stream->bandwidth.observe(stream->bytes_read, std::chrono::steady_clock::now());
    if (planner_.already_read(request)) stream->rereads = true;
    update_alignment(*stream, request);
    cache_.drop_passed(*stream);
    if (slow_reads_.slow()) return stream;
  }
  stream->next_fetch = stream->head;  // so far the client has read everything itself
  return nullptr;
}

std::optional<FetchJob> ReadAhead::query_for(Stream &stream, extents::Range request) {
  const uint64_t unknown = planner_.first_unknown(request);
  if (unknown >= settings_.size || stream.querying_extents) return std::nullopt;
  stream.querying_extents = true;
  return FetchJob{nullptr, {unknown, std::min(query_length, settings_.size - unknown)}, stream.id};
}

uint64_t ReadAhead::window(const Stream &stream) const {
  if (stream.pinned) return cache_.share();
  return window_.bytes(stream, cache_.share() / std::max<uint64_t>(streams_.active(), 1));
}

ChunkPtr ReadAhead::add_chunk(Stream &stream, extents::Range piece) {
  return cache_.add(stream, piece, extents_.known(piece));
}

ChunkPtr ReadAhead::claim(Stream &stream, extents::Range request) {
  extents::Range needed{};
  bool one_part = true;
  for (const auto &part : cache_.split(request)) {
    if (part.chunk) continue;
    if (!needed.empty()) one_part = false;
    needed = part.range;
  }
  ChunkPtr chunk;
  if (one_part && !needed.empty()) chunk = claim_around(stream, needed);
  if (!stream.rereads) planner_.was_read(request);
  return chunk;
}

// A chunk that holds all of `needed` and more.
ChunkPtr ReadAhead::claim_around(Stream &stream, extents::Range needed) {
  const uint64_t first_block = round_down(needed.offset, settings_.block);
  const uint64_t from = std::max(round_down(needed.offset, settings_.chunk),
                                 std::min(stream.next_fetch, first_block));
  for (const auto &piece : planner_.pieces(stream, from, gap())) {
    for (extents::Range chosen : planner_.missing(stream, piece)) {
      if (extents::intersect(chosen, needed) != needed) continue;
      const uint64_t end = chosen.end();
      const uint64_t limit = std::max({window(stream), needed.length, ReadAheadWindow::smallest});
      if (chosen.length > limit) {
        chosen.offset = std::max(chosen.offset, first_block);
        chosen.length = std::min(limit, end - chosen.offset);
      }
      if (extents::intersect(chosen, needed) != needed || chosen.length <= needed.length) continue;
      ChunkPtr chunk = add_chunk(stream, chosen);
      if (chunk && stream.next_fetch >= chosen.offset) {
        stream.next_fetch = std::max(stream.next_fetch, chosen.end());
      }
      return chunk;
    }
  }
  return nullptr;
}

std::optional<FetchJob> ReadAhead::next_job() {
  std::optional<FetchJob> job;
  auto serve = [&](Stream &stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    job = next_job_of(stream);
    return job.has_value();
  };
  streams_.serve_pinned(serve);
  if (!job && slow_reads_.slow()) streams_.serve(serve);
  return job;
}

std::optional<FetchJob> ReadAhead::next_job_of(Stream &stream) {
  const uint64_t limit = window(stream);
  const uint64_t end = std::min({settings_.size, stream.head + max_distance, stream.end});
  while (stream.next_fetch < end) {
    const uint64_t at = stream.next_fetch;
    const extents::Extent here = extents_.at(at);
    if (here.type == KnownExtents::unknown) {
      if (stream.querying_extents) return std::nullopt;
      stream.querying_extents = true;
      return FetchJob{nullptr, {at, std::min(query_length, here.end() - at)}, stream.id};
    }
    const auto pieces = planner_.pieces(stream, at, gap());
    if (pieces.empty()) {
      // No data up to the end of the chunk, perhaps for long: continue where the extent ends, but not
      // beyond a multiple of the chunk size that the plan may round the next start down to.
      const uint64_t chunk_end = round_down(at, settings_.chunk) + settings_.chunk;
      stream.next_fetch = here.end() > chunk_end
                              ? std::max(chunk_end, round_down(here.end(), settings_.chunk))
                              : here.end();
      continue;
    }
    const auto missing = planner_.missing(stream, pieces.front());
    if (!missing.empty()) return fetch_job(stream, missing.front(), limit);
    stream.next_fetch = pieces.front().end();
  }
  return std::nullopt;
}

std::optional<FetchJob> ReadAhead::fetch_job(Stream &stream, extents::Range piece,
                                             uint64_t window) {
  constexpr uint64_t smallest = ReadAheadWindow::smallest;
  if (piece.offset >= stream.end) return std::nullopt;
  piece.length = std::min(piece.length, stream.end - piece.offset);
  const uint64_t left = window - std::min(window, stream.cached);
  // While the window grows, parts of a piece are fetched at the same time rather than all of it later.
  const bool in_parts = !stream.pinned && window_.growing(stream) && left >= window / 4;
  if (stream.cached == 0 || in_parts) {
    piece.length = std::min(piece.length, std::max(round_down(left, smallest), smallest));
  } else if (piece.length > left) {
    return std::nullopt;
  }
  ChunkPtr chunk = add_chunk(stream, piece);
  if (!chunk) return std::nullopt;
  stream.next_fetch = piece.end();
  return FetchJob{chunk, {}, stream.id};
}

void ReadAhead::read_done(uint64_t bytes, std::chrono::nanoseconds took, unsigned parallel) {
  if (settings_.measure_gap) cost_.add(bytes, took, parallel);
}

uint64_t ReadAhead::gap() const {
  const uint64_t worthwhile = cost_.trial() ? 0 : cost_.worthwhile_gap();
  return std::clamp(worthwhile, std::min(always_read, settings_.gap), settings_.gap);
}

void ReadAhead::direct_read_done(std::chrono::nanoseconds took, bool slept) {
  slow_reads_.add(took, slept);
  if (!slow_reads_.fast() || !cache_.empty() || !settings_.priority.empty()) return;
  streams_.clear();  // they do not see where their clients go on
  aside.begin();
}

void ReadAhead::passed_by(std::chrono::nanoseconds took) {
  if (!aside.ended_by(took)) return;
  util::MutexLock lock(mutex);
  slow_reads_.forget();
}

void ReadAhead::fetch_done(const ChunkPtr &chunk, bool success, std::chrono::nanoseconds took) {
  if (success) window_.fetched(took);
  if (cache_.finish(chunk, success) && !success) planner_.fetch_failed(chunk->range);
}

void ReadAhead::query_done(const FetchJob &job, uint64_t generation,
                           const std::vector<extents::Extent> &list) {
  extents_.learn(generation, list);
  Stream *stream = streams_.find(job.stream);
  if (stream == nullptr) return;
  stream->querying_extents = false;
  // Without extents nothing can be planned. The stream is recognised again after some more reads.
  if (list.empty()) streams_.erase(job.stream);
}

}  // namespace coalesce
