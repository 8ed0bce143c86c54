// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients ask for; scheduler.cpp is what is done ahead of them.
#include "filters/coalesce/engine.hpp"

#include <algorithm>
#include <cstring>

namespace coalesce {

Engine::Engine(const Settings &settings, Budget &budget, Counters &counters, util::Log log,
               MakeReader make_reader)
    : settings_(settings),
      budget_(budget),
      counters_(counters),
      log_(std::move(log)),
      make_reader_(std::move(make_reader)),
      streams_(2 * settings.chunk),
      map_(settings.size),
      seen_(settings.size),
      failed_(settings.size),
      pace_(settings.fast),
      share_(budget.limit()),
      workers_(settings.workers) {
  for (const auto &range : settings.priority) {
    if (range.offset < size())
      streams_.pin({range.offset, std::min(range.end(), size()) - range.offset});
  }
}

Engine::~Engine() {
  {
    Lock lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (auto &thread : threads_) thread.join();
}

void Engine::set_share(uint64_t bytes) {
  Lock lock(mutex_);
  share_ = bytes;
  if (held_ <= share_) return;
  for (const auto &chunk : chunks_.meeting({0, size()})) {
    if (chunk->state == Chunk::State::ready && held_ > share_) drop(chunk);
  }
}

void Engine::attach(Reader &reader) {
  Lock lock(mutex_);
  readers_.push_back({&reader});
  if (workers_ > 0 && !settings_.priority.empty()) start_workers();
  work_.notify_one();
}

void Engine::detach(Reader &reader) noexcept {
  Lock lock(mutex_);
  auto find = [&] {
    return std::find_if(readers_.begin(), readers_.end(),
                        [&](const Lent &lent) { return lent.reader == &reader; });
  };
  auto lent = find();
  if (lent == readers_.end()) return;
  lent->users += leaving;
  returned_.wait(lock, [&] { return find()->users == leaving; });
  readers_.erase(find());
}

void Engine::read(Reader &own, std::span<std::byte> buffer, uint64_t offset) {
  const extents::Range want{offset, buffer.size()};
  ++counters_.requests;
  counters_.bytes += want.length;
  if (want.length >= settings_.chunk) return direct(own, buffer, offset);

  std::vector<Chunks::Part> parts;
  ChunkPtr claimed;
  {
    Lock lock(mutex_);
    Stream *stream = observe(want);
    if (stream != nullptr && stream->sequential() && pace_.slow()) {
      if (auto unknown = unknown_ahead(want); unknown < size() && !stream->surveying) {
        // Nobody can read ahead before somebody has asked.
        stream->surveying = true;
        uint64_t id = stream->id;
        Job job{nullptr, {unknown, std::min(survey_length, size() - unknown)}, id};
        lock.unlock();
        survey(own, job);
        lock.lock();
        stream = streams_.find(id);
      }
      if (stream != nullptr) {
        claimed = claim(*stream, want);
        if (!stream->again) {
          if (++seen_count_ % seen_most == 0) seen_ = extents::RangeSet(size());
          seen_.add(want);
        }
        if (workers_ > 0) start_workers();
        work_.notify_one();
      }
    } else if (stream != nullptr) {
      stream->fetched = stream->head;  // so far it has read everything itself
    }
    parts = chunks_.split(want);
    count(parts, claimed);
  }

  // The layer below is never asked more often for a request than without the filter.
  auto direct_parts = std::count_if(parts.begin(), parts.end(), [](auto &p) { return !p.chunk; });
  auto place = [&](extents::Range r) { return buffer.subspan(r.offset - offset, r.length); };
  bool whole = direct_parts > 1;
  if (whole) {
    direct(own, buffer, offset);
  } else if (direct_parts == 1) {
    for (const auto &part : parts) {
      if (!part.chunk) direct(own, place(part.range), part.range.offset);
    }
  }
  if (claimed) fetch(own, claimed);
  for (const auto &part : parts) {
    if (!part.chunk) continue;
    if (whole) {
      Lock lock(mutex_);
      consume(part.chunk, part.range);
    } else if (!copy(part, place(part.range))) {
      // What could not be read ahead is read now; if that fails, it is this request that fails.
      direct(own, place(part.range), part.range.offset);
    }
  }
}

void Engine::count(const std::vector<Chunks::Part> &parts, const ChunkPtr &claimed) {
  bool read = claimed != nullptr, wait = false;
  for (const auto &part : parts) {
    read = read || !part.chunk;
    wait = wait || (part.chunk && part.chunk->state == Chunk::State::in_flight);
  }
  if (!read) ++(wait ? counters_.waits : counters_.hits);
}

bool Engine::copy(const Chunks::Part &part, std::span<std::byte> to) {
  {
    Lock lock(mutex_);
    part.chunk->settled.wait(lock, [&] { return part.chunk->state != Chunk::State::in_flight; });
    if (part.chunk->state == Chunk::State::gone) return false;
  }
  const auto from = part.chunk->buffer.bytes().subspan(part.range.offset - part.chunk->range.offset,
                                                       part.range.length);
  std::memcpy(to.data(), from.data(), from.size());
  Lock lock(mutex_);
  consume(part.chunk, part.range);
  return true;
}

void Engine::direct(Reader &reader, std::span<std::byte> buffer, uint64_t offset) {
  ++counters_.plugin_requests;
  counters_.plugin_bytes += buffer.size();
  Stopwatch watch;
  reader.pread(buffer, offset);
  if (buffer.size() >= settings_.chunk) return;
  auto wall = watch.wall();
  bool slept = watch.slept();
  Lock lock(mutex_);
  pace_.sample(wall, slept);
}

std::vector<extents::Extent> Engine::extents(Reader &own, extents::Range range, bool one) {
  std::vector<extents::Extent> list;
  uint64_t generation;
  {
    Lock lock(mutex_);
    generation = map_.generation();
    // After a write the layer below has the last word.
    if (!map_.written()) list = map_.known(range, one ? 1 : ~size_t{0});
  }
  if (one && !list.empty()) return list;
  uint64_t at = list.empty() ? range.offset : list.back().end();
  if (at < range.end()) {
    auto rest = own.extents({at, range.end() - at});
    for (const auto &e : rest) {
      if (!list.empty() && list.back().type == e.type) {
        list.back().length += e.length;
      } else {
        list.push_back(e);
      }
    }
    Lock lock(mutex_);
    map_.learn(generation, rest);
  }
  return list;
}

std::vector<extents::Extent> Engine::merged_extents(Reader &own, extents::Range range) {
  std::vector<extents::Extent> list;
  range.length = std::min(range.length, survey_length);
  while (range.length > 0) {
    auto some = extents(own, range);
    if (some.empty()) break;
    list.insert(list.end(), some.begin(), some.end());
    range = {some.back().end(), range.end() - some.back().end()};
  }
  return merge_gaps(list, settings_.gap);
}

void Engine::invalidate(extents::Range range) {
  Lock lock(mutex_);
  map_.forget();
  for (const auto &chunk : chunks_.meeting(range)) {
    if (chunk->state == Chunk::State::in_flight) {
      chunk->state = Chunk::State::gone;
      chunk->settled.notify_all();
    }
    drop(chunk);
  }
}

}  // namespace coalesce
