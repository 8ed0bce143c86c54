// SPDX-License-Identifier: BSD-3-Clause
//
// What the engine does ahead of the clients.
#include <algorithm>
#include <bit>

#include "filters/coalesce/engine.hpp"

namespace coalesce {

namespace {

constexpr uint64_t reach = 1u << 30;      // nothing further ahead of a stream is looked at
constexpr uint64_t smallest = 64u << 10;  // of a chunk, where there is a choice

}  // namespace

Stream *Engine::observe(extents::Range want) {
  bool expected = false;
  if (!chunks_.empty()) {
    ChunkPtr chunk = chunks_.split(want).front().chunk;
    // What was fetched because it has priority says nothing of where its reader goes on.
    const Stream *owner = chunk ? streams_.find(chunk->stream) : nullptr;
    expected = chunk && !(owner != nullptr && owner->pinned);
  }
  Stream *stream = streams_.observe(
      want, expected, [&](uint64_t from, uint64_t to) { return wanted_between(from, to); });
  if (stream == nullptr || !stream->sequential()) return stream;

  if (stream->reads == 2) ++counters_.streams;
  stream->rate.observe(stream->read, std::chrono::steady_clock::now());
  if (!seen_.empty() && seen_.contains(want)) stream->again = true;
  // Whole steps that hold what is not wanted are read by clients that do not look at extents
  // closely.
  auto known = map_.known(want);
  bool unwanted = std::any_of(known.begin(), known.end(), [](auto &e) { return !wanted(e.type); });
  bool aligned = std::has_single_bit(want.length) && want.offset % want.length == 0;
  if (unwanted && aligned) {
    stream->step = want.length;
  } else if (want.offset % stream->step != 0) {
    stream->step = 1;
  }
  drop_passed(*stream);
  return stream;
}

uint64_t Engine::wanted_between(uint64_t from, uint64_t to) const {
  constexpr uint64_t too_much = ~uint64_t{0};
  uint64_t bytes = 0;
  for (int i = 0; from < to; ++i) {
    extents::Extent e = map_.at(from);
    if (i > 256 || e.type == DiskMap::unknown) return too_much;
    uint64_t end = std::min(e.end(), to);
    if (wanted(e.type)) bytes += end - from;
    if (bytes > streams_.slack()) return too_much;
    from = end;
  }
  return bytes;
}

std::vector<extents::Range> Engine::plan_from(const Stream &stream, uint64_t position) const {
  uint64_t cell = round_down(position, settings_.chunk);
  uint64_t end = std::min(size(), cell + settings_.chunk);
  auto known = map_.known({position, end - position});
  return plan(known, Shape{settings_.gap, settings_.chunk, align_of(stream)}, position);
}

uint64_t Engine::align_of(const Stream &stream) const {
  return std::min(std::max(settings_.block, stream.step), settings_.chunk);
}

std::vector<extents::Range> Engine::missing(const Stream &stream, extents::Range piece) const {
  std::vector<extents::Range> list;
  // What is left of a piece may begin or end with a gap, or be nothing else.
  auto add = [&](extents::Range left) {
    uint64_t start = left.end(), end = left.offset;
    for (const auto &e : map_.known(left)) {
      if (!wanted(e.type)) continue;
      start = std::min(start, round_down(e.offset, align_of(stream)));
      end = round_down(e.end() + align_of(stream) - 1, align_of(stream));
    }
    start = std::max(start, left.offset);
    end = std::min(end, left.end());
    if (start < end) list.push_back({start, end - start});
    return true;
  };
  for (const auto &part : chunks_.split(piece)) {
    if (part.chunk) continue;
    failed_.split(part.range, [&](extents::Range r, bool failed) {
      if (failed) return true;
      if (stream.again) return add(r);
      seen_.split(r, [&](extents::Range fresh, bool seen) { return seen || add(fresh); });
      return true;
    });
  }
  return list;
}

uint64_t Engine::unknown_ahead(extents::Range want) const {
  uint64_t end = std::min(size(), round_down(want.offset, settings_.chunk) + settings_.chunk);
  auto known = map_.known({want.offset, end - want.offset});
  uint64_t at = known.empty() ? want.offset : known.back().end();
  return at < end ? at : size();
}

bool Engine::make_room(uint64_t bytes) {
  auto fits = [&] { return held_ + bytes <= share_; };
  if (fits()) return true;
  for (const auto &chunk : chunks_.meeting({0, size()})) {
    if (chunk->state != Chunk::State::ready) continue;
    const Stream *owner = streams_.find(chunk->stream);
    if (owner == nullptr || streams_.stale(*owner)) drop(chunk);
    if (fits()) return true;
  }
  return false;
}

ChunkPtr Engine::start(Stream &stream, extents::Range piece) {
  if (!make_room(piece.length)) return nullptr;
  Buffer buffer = Buffer::allocate(budget_, piece.length);
  if (!buffer) return nullptr;
  auto chunk = std::make_shared<Chunk>(piece, std::move(buffer), size());
  for (const auto &e : map_.known(piece)) {
    if (wanted(e.type)) chunk->unread.add(e.range());
  }
  counters_.gap_bytes += piece.length - chunk->unread.bytes();
  chunk->stream = stream.id;
  chunks_.insert(chunk);
  held_ += piece.length;
  stream.ahead += piece.length;
  return chunk;
}

void Engine::drop(const ChunkPtr &chunk) {
  if (!chunks_.erase(chunk)) return;
  held_ -= chunk->range.length;
  counters_.unread_bytes += chunk->unread.bytes();
  if (Stream *stream = streams_.find(chunk->stream)) stream->ahead -= chunk->range.length;
}

void Engine::drop_passed(const Stream &stream) {
  if (stream.head <= streams_.slack()) return;
  for (const auto &chunk : chunks_.meeting({0, stream.head - streams_.slack()})) {
    bool passed = chunk->range.end() + streams_.slack() <= stream.head;
    if (passed && chunk->stream == stream.id && chunk->state == Chunk::State::ready) drop(chunk);
  }
}

void Engine::consume(const ChunkPtr &chunk, extents::Range range) {
  chunk->unread.subtract(range);
  if (!chunk->unread.empty() || chunk->state != Chunk::State::ready) return;
  drop(chunk);
  work_.notify_one();
}

// The chunk that a request fetches itself, for it is the first to need it.
ChunkPtr Engine::claim(Stream &stream, extents::Range want) {
  extents::Range need{};
  for (const auto &part : chunks_.split(want)) {
    if (part.chunk) continue;
    if (!need.empty()) return nullptr;
    need = part.range;
  }
  if (need.empty()) return nullptr;

  uint64_t cell = round_down(need.offset, settings_.chunk);
  uint64_t from =
      std::max(cell, std::min(stream.fetched, round_down(need.offset, settings_.block)));
  for (const auto &piece : plan_from(stream, from)) {
    for (extents::Range free : missing(stream, piece)) {
      if (extents::intersect(free, need) != need) continue;
      extents::Range chosen = free;
      uint64_t most = std::max({window_of(stream), need.length, smallest});
      if (chosen.length > most) {
        chosen.offset = std::max(chosen.offset, round_down(need.offset, settings_.block));
        chosen.length = std::min(most, free.end() - chosen.offset);
      }
      if (extents::intersect(chosen, need) != need || chosen.length <= need.length) continue;
      ChunkPtr chunk = start(stream, chosen);
      if (chunk && stream.fetched >= chosen.offset) {
        stream.fetched = std::max(stream.fetched, chosen.end());
      }
      return chunk;
    }
  }
  return nullptr;
}

uint64_t Engine::window_of(const Stream &stream) const {
  if (stream.pinned) return share_;
  const uint64_t share = share_ / std::max<uint64_t>(streams_.active(), 1);
  // Each worker has a chunk to fetch while the client reads another one.
  const uint64_t busy = settings_.chunk * (settings_.workers + 1);
  const uint64_t depth = depth_.bytes(stream.rate);
  const uint64_t useful = depth == 0 ? 2 * busy : std::max(busy, depth);
  // It grows with what has been read, so that a short run of reads costs little.
  const uint64_t grown = std::max(4 * stream.read, smallest);
  return std::min({share, useful, grown});
}

std::optional<Engine::Job> Engine::advance(Stream &stream) {
  const uint64_t most = window_of(stream);
  const uint64_t end = std::min({size(), stream.head + reach, stream.end});
  while (stream.fetched < end) {
    extents::Extent here = map_.at(stream.fetched);
    if (here.type == DiskMap::unknown) {
      if (stream.surveying) return std::nullopt;
      stream.surveying = true;
      extents::Range range{stream.fetched, std::min(survey_length, here.end() - stream.fetched)};
      return Job{nullptr, range, stream.id};
    }
    auto pieces = plan_from(stream, stream.fetched);
    if (pieces.empty()) {
      // Nothing is wanted here, perhaps for long: on to where that ends, but not beyond a start
      // that the plan will move down to a whole step.
      uint64_t cell_end = round_down(stream.fetched, settings_.chunk) + settings_.chunk;
      uint64_t next = std::min(here.end(), cell_end);
      if (here.end() > cell_end) next = std::max(cell_end, round_down(here.end(), settings_.chunk));
      stream.fetched = next;
      continue;
    }
    auto free = missing(stream, pieces.front());
    if (free.empty()) {
      stream.fetched = pieces.front().end();
      continue;
    }
    extents::Range piece = free.front();
    if (piece.offset >= stream.end) return std::nullopt;
    piece.length = std::min(piece.length, stream.end - piece.offset);
    if (stream.ahead == 0) {
      piece.length = std::min(piece.length, std::max(round_down(most, smallest), smallest));
    } else if (stream.ahead + piece.length > most) {
      return std::nullopt;
    }
    ChunkPtr chunk = start(stream, piece);
    if (!chunk) return std::nullopt;
    stream.fetched = piece.end();
    return Job{chunk, {}, stream.id};
  }
  return std::nullopt;
}

std::optional<Engine::Job> Engine::next_job() {
  std::optional<Job> job;
  auto serve = [&](Stream &stream) {
    job = advance(stream);
    return job.has_value();
  };
  streams_.serve_pinned(serve);
  if (!job && pace_.slow()) streams_.serve(serve);
  return job;
}

}  // namespace coalesce
