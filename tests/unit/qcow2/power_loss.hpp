// SPDX-License-Identifier: BSD-3-Clause
//
// What a power failure may leave of a file: every change is recorded, and a file is made of them as
// a disk may hold it that writes in any order what is not synced.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <random>
#include <vector>

#include "plugins/qcow2/file/file_observer.hpp"

namespace qcow2::test {

class Recorder : public FileObserver {
 public:
  static constexpr uint64_t never = std::numeric_limits<uint64_t>::max();

  bool fallocate = true;  // the file system has it
  bool has_fallocate() const override { return fallocate; }

  // The time. It advances with each change and each call.
  uint64_t now() { return ++clock_; }

  uint64_t begin(FileChange change) override {
    std::lock_guard lock(mutex_);
    events_.push_back({std::move(change), now(), never});
    return events_.size() - 1;
  }
  void done(uint64_t id) override {
    std::lock_guard lock(mutex_);
    events_[id].done = now();
  }

  // The file as it may be after a power failure at that time. What was done before a sync began
  // that has ended by then is there. Of everything else each sector may be there or not.
  std::vector<std::byte> after_power_loss(std::vector<std::byte> file, uint64_t time,
                                          std::mt19937_64 &random) const {
    uint64_t synced = 0;
    for (const Event &e : events_) {
      if (e.change.kind == FileChange::Kind::sync && e.done <= time) {
        synced = std::max(synced, e.begin);
      }
    }
    uint64_t mode = random() % 3;  // of what is not synced nothing is there, or all, or some
    for (const Event &e : events_) {
      if (e.begin > time) continue;
      bool all = e.done < synced || mode == 1;
      if (!all && mode == 0) continue;
      if (!all && random() % 3 == 0) continue;
      apply(e.change, all || random() % 2 == 0, file, random);
    }
    return file;
  }

 private:
  struct Event {
    FileChange change;
    uint64_t begin;
    uint64_t done;
  };

  static void apply(const FileChange &c, bool whole, std::vector<std::byte> &file,
                    std::mt19937_64 &random) {
    constexpr uint64_t sector = 512;
    auto grow = [&](uint64_t end) { file.resize(std::max<size_t>(file.size(), end)); };
    switch (c.kind) {
      case FileChange::Kind::write:
        grow(c.offset + c.bytes.size());
        for (uint64_t at = 0; at < c.bytes.size();) {
          uint64_t n = std::min(sector - (c.offset + at) % sector, c.bytes.size() - at);
          if (whole || random() % 2 == 0) std::copy_n(&c.bytes[at], n, &file[c.offset + at]);
          at += n;
        }
        break;
      case FileChange::Kind::reserve:
        grow(c.offset + c.length);
        break;
      case FileChange::Kind::punch:
        for (uint64_t at = c.offset; at < std::min<uint64_t>(c.offset + c.length, file.size());
             ++at)
          file[at] = std::byte{0};
        break;
      case FileChange::Kind::set_length:
        file.resize(c.offset);
        break;
      case FileChange::Kind::sync:
        break;
    }
  }

  std::atomic<uint64_t> clock_ = 0;
  std::mutex mutex_;  // protects events_
  std::vector<Event> events_;
};

}  // namespace qcow2::test
