// SPDX-License-Identifier: BSD-3-Clause
//
// The engine's threads, and what they do without the lock.
#include <algorithm>
#include <system_error>

#include "filters/coalesce/engine.hpp"

namespace coalesce {

void Engine::fetch(Reader &reader, const ChunkPtr &chunk) noexcept {
  bool good = true;
  ++counters_.plugin_requests;
  counters_.plugin_bytes += chunk->range.length;
  const auto begin = std::chrono::steady_clock::now();
  try {
    reader.pread(chunk->buffer.bytes(), chunk->range.offset);
  } catch (...) {
    good = false;  // whoever needs it reads it again and is told
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  Lock lock(mutex_);
  if (good) depth_.fetched(took);
  if (chunk->state == Chunk::State::in_flight) {
    chunk->state = good ? Chunk::State::ready : Chunk::State::gone;
    if (!good) {
      failed_.add(chunk->range);
      drop(chunk);
    } else if (chunk->unread.empty()) {
      // Its reader did not wait for it.
      drop(chunk);
    }
  }
  chunk->settled.notify_all();
}

void Engine::survey(Reader &reader, const Job &job) noexcept {
  uint64_t generation;
  {
    Lock lock(mutex_);
    generation = map_.generation();
  }
  std::vector<extents::Extent> list;
  try {
    list = reader.extents(job.survey);
  } catch (...) {
    // Then nothing is read ahead; the client may ask itself.
  }
  Lock lock(mutex_);
  map_.learn(generation, list);
  Stream *stream = streams_.find(job.stream);
  if (stream == nullptr) return;
  stream->surveying = false;
  // It begins anew after some more reads.
  if (list.empty()) streams_.erase(job.stream);
}

void Engine::start_workers() {
  if (!threads_.empty()) return;
  try {
    while (threads_.size() < settings_.workers) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error &e) {
    workers_ = static_cast<unsigned>(threads_.size());
    log_.warning("coalesce: only {} of {} workers could be started: {}", workers_,
                 settings_.workers, e.what());
  }
}

void Engine::work() noexcept {
  std::unique_ptr<Reader> mine;
  if (make_reader_) {
    try {
      mine = make_reader_();
    } catch (...) {
      // It has said why.
    }
    if (!mine) {
      Lock lock(mutex_);
      log_.debug("coalesce: a worker has no connection of its own, and ends");
      --workers_;
      return;
    }
  }
  Lock lock(mutex_);
  while (!stop_) work_with(lock, mine.get());
}

void Engine::work_with(Lock &lock, Reader *mine) {
  Reader *reader = mine;
  if (reader == nullptr) {
    auto lent = std::min_element(readers_.begin(), readers_.end(),
                                 [](auto &a, auto &b) { return a.users < b.users; });
    if (lent != readers_.end() && lent->users < leaving) reader = lent->reader;
  }
  std::optional<Job> job;
  if (reader != nullptr) job = next_job();
  if (!job) {
    work_.wait(lock);
    return;
  }
  auto use = [&](auto change) {
    for (Lent &lent : readers_) {
      if (lent.reader == reader) change(lent.users);
    }
  };
  if (mine == nullptr) use([](unsigned &users) { ++users; });
  work_.notify_one();  // there may be more to do
  lock.unlock();
  if (job->chunk) {
    fetch(*reader, job->chunk);
  } else {
    survey(*reader, *job);
  }
  lock.lock();
  if (mine == nullptr) use([](unsigned &users) { --users; });
  returned_.notify_all();
}

}  // namespace coalesce
