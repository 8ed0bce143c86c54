// SPDX-License-Identifier: BSD-3-Clause
//
// An engine over a simulated disk.
#pragma once

#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "filters/coalesce/engine.hpp"
#include "tests/unit/coalesce/fake_disk.hpp"

namespace coalesce {

constexpr uint64_t K = 1024, M = K * K;

// With one connection. No read counts as fast, unless fast_read says so.
struct EngineFixture {
  explicit EngineFixture(uint64_t size = 16 * M,
                         std::chrono::microseconds delay = std::chrono::milliseconds(1),
                         Settings s = {.gap = 256 * K, .chunk = M, .workers = 4},
                         uint64_t memory = 16 * M, extents::Range hole = {},
                         std::chrono::microseconds fast_read = {})
      : disk(size, delay), connection(disk), budget(memory) {
    disk.map.set(hole, extents::hole);
    s.size = size;
    s.fast_read = fast_read;
    engine = std::make_unique<Engine>(s, budget, counters, util::Log());
    engine->attach(connection);
  }
  ~EngineFixture() { engine->detach(connection); }

  // Reads, and compares with the disk. Returns the result, since Catch2's assertions are not
  // thread-safe.
  bool reads_correctly(uint64_t offset, uint64_t length) {
    std::vector<std::byte> buffer(length);
    engine->read(connection, buffer, offset);
    return std::memcmp(buffer.data(), disk.bytes.data() + offset, length) == 0;
  }
  bool reads_all_correctly(extents::Range range, uint64_t step) {
    bool good = true;
    for (uint64_t at = range.offset; at < range.end(); at += step) {
      good = reads_correctly(at, std::min(step, range.end() - at)) && good;
    }
    return good;
  }

  FakeDisk disk;
  FakeConnection connection;
  MemoryBudget budget;
  Counters counters;
  std::unique_ptr<Engine> engine;
};

}  // namespace coalesce
