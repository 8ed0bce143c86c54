// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/prefetch/fetcher.hpp"

#include <chrono>
#include <vector>

namespace coalesce {

void Fetcher::read_direct(LowerConnection &connection, std::span<std::byte> buffer,
                          uint64_t offset) {
  ++counters_.plugin_requests;
  counters_.plugin_bytes += buffer.size();
  const UnderWay::Read read(under_way_, buffer.size());
  ReadTimer timer;
  connection.pread(buffer, offset);
  if (buffer.size() >= settings_.chunk) return;
  const auto took = timer.elapsed();
  const bool slept = timer.slept();
  util::MutexLock lock(read_ahead_.mutex);
  read_ahead_.read_done(buffer.size(), took, read.parallel());
  read_ahead_.direct_read_done(took, slept);
}

void Fetcher::pass_by(LowerConnection &connection, std::span<std::byte> buffer, uint64_t offset) {
  ++counters_.plugin_requests;
  counters_.plugin_bytes += buffer.size();
  const auto begin = std::chrono::steady_clock::now();
  connection.pread(buffer, offset);
  read_ahead_.passed_by(std::chrono::steady_clock::now() - begin);
}

void Fetcher::fetch(LowerConnection &connection, const ChunkPtr &chunk) noexcept {
  bool success = true;
  ++counters_.plugin_requests;
  counters_.plugin_bytes += chunk->range.length;
  const UnderWay::Read read(under_way_, chunk->range.length);
  const auto begin = std::chrono::steady_clock::now();
  try {
    connection.pread(chunk->buffer.bytes(), chunk->range.offset);
  } catch (...) {
    success = false;
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  util::MutexLock lock(read_ahead_.mutex);
  if (success) read_ahead_.read_done(chunk->range.length, took, read.parallel());
  read_ahead_.fetch_done(chunk, success, took);
}

void Fetcher::query(LowerConnection &connection, const FetchJob &job) noexcept {
  uint64_t generation;
  {
    util::MutexLock lock(read_ahead_.mutex);
    generation = read_ahead_.extents().generation();
  }
  std::vector<extents::Extent> list;
  try {
    list = connection.extents(job.query);
  } catch (...) {
    // The list is empty. A client that asks for the extents itself gets the error.
  }
  util::MutexLock lock(read_ahead_.mutex);
  read_ahead_.query_done(job, generation, list);
}

}  // namespace coalesce
