// SPDX-License-Identifier: BSD-3-Clause
//
// A job over a source and a destination in memory.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/replication/state_file.hpp"
#include "filters/apply/job/job.hpp"
#include "tests/unit/apply/fakes.hpp"

namespace apply {

inline constexpr uint64_t size = 64;  // bytes; few, so that tests can look at each of them
inline constexpr std::byte old_byte{0xaa};
inline constexpr std::byte new_byte{0xbb};

inline const char *const description =
    R"({"nbdkit-replicate":1,"source":"test","vm":"v","disk":1,"size":64,"mode":"delta",)"
    R"("since":"c1","checkpoint":"c2"})";

// [5, 20) new data, [20, 26) data that is zero, [30, 41) zero, [60, 64) new data. Time passes
// with each change of the destination, so that every flush may save the state.
struct JobSetup {
  explicit JobSetup(uint64_t destination_size = size)
      : destination(Content(destination_size, old_byte)) {
    disk.map.set({5, 21}, extents::data);
    disk.map.set({30, 11}, extents::zero);
    disk.map.set({60, 4}, extents::data);
    disk.bytes.assign(size, old_byte);
    std::fill_n(disk.bytes.begin() + 5, 15, new_byte);
    std::fill_n(disk.bytes.begin() + 20, 6, std::byte{0});
    std::fill_n(disk.bytes.begin() + 30, 11, std::byte{0});
    std::fill_n(disk.bytes.begin() + 60, 4, new_byte);
    disk.description = description;
    settings.verify = 0;
  }

  void start() {
    job = std::make_unique<Job>(std::make_unique<FakeSource>(disk), settings,
                                util::Log([this](util::Level level, const std::string &line) {
                                  if (level == util::Level::info) return;
                                  std::lock_guard guard(log_lock);
                                  lines.push_back(line);
                                }),
                                [this] { return epoch + std::chrono::seconds(10 * ticks); });
  }
  std::unique_ptr<JobClient> join(bool flush_covers_all = true) {
    destination.covers_all = flush_covers_all;
    return job->join(destination);
  }
  // The source's own bytes, as a client sends them.
  void copy(JobClient &client, extents::Range range) {
    client.write(std::span(disk.bytes).subspan(range.offset, range.length), range.offset, false);
  }
  bool complete() {
    auto state = replication::load_state(path);
    return state && state->checkpoint == "c2" && state->owed.empty();
  }
  std::vector<extents::Range> owed() { return replication::load_state(path)->owed; }

  // Whether the destination holds all that the state file does not owe, both now and after a crash.
  bool state_is_true() {
    auto state = replication::load_state(path);
    if (!state || state->checkpoint != "c2") {
      return destination.now == Content(destination.now.size(), old_byte);
    }
    extents::RangeSet owes(size);
    for (const extents::Range &range : state->owed) owes.add(range);
    for (uint64_t i = 0; i < size; ++i) {
      bool there = destination.now[i] == disk.bytes[i] && destination.durable[i] == disk.bytes[i];
      if (!there && !owes.contains({i, 1})) return false;
    }
    return true;
  }

  Directory directory;
  std::string path = directory.file("state");
  Settings settings{path};
  FakeDisk disk{extents::ExtentMap(size, extents::hole | extents::zero)};
  FakeDestination destination;
  std::chrono::steady_clock::time_point epoch = std::chrono::steady_clock::now();
  std::atomic<int> ticks = 0;
  std::mutex log_lock;
  std::vector<std::string> lines;
  std::unique_ptr<Job> job;
};

}  // namespace apply
