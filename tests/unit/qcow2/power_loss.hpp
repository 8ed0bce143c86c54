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

 private:
  friend class PowerLoss;
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
        if (c.offset < file.size()) {
          std::fill_n(&file[c.offset], std::min<uint64_t>(c.length, file.size() - c.offset),
                      std::byte{0});
        }
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

// Power failures while a file was recorded. The recording must have ended.
class PowerLoss {
 public:
  PowerLoss(const Recorder &recorder, std::vector<std::byte> file)
      : events_(recorder.events_), durable_(std::move(file)) {}

  // The file as it may be after a power failure at that time, which must not be before that of the last call. What was
  // done before a sync began that has ended by then is there. Of everything else each sector may be there or not.
  std::vector<std::byte> after(uint64_t time, std::mt19937_64 &random) {
    uint64_t synced = 0;
    for (const auto &e : events_) {
      if (e.change.kind == FileChange::Kind::sync && e.done <= time) {
        synced = std::max(synced, e.begin);
      }
    }
    // What will be there at any later time, too.
    for (; next_ < events_.size() && events_[next_].done < synced; ++next_) {
      Recorder::apply(events_[next_].change, true, durable_, random);
    }
    std::vector<std::byte> file = durable_;
    uint64_t mode = random() % 3;  // of what is not synced nothing is there, or all, or some
    for (size_t i = next_; i < events_.size(); ++i) {
      const auto &e = events_[i];
      if (e.begin > time) break;
      bool all = e.done < synced || mode == 1;
      if (!all && mode == 0) continue;
      if (!all && random() % 3 == 0) continue;
      Recorder::apply(e.change, all || random() % 2 == 0, file, random);
    }
    return file;
  }

 private:
  const std::vector<Recorder::Event> &events_;
  std::vector<std::byte> durable_;
  size_t next_ = 0;  // the first event that is not in durable_
};

}  // namespace qcow2::test
