// SPDX-License-Identifier: BSD-3-Clause
//
// A file with a module's counters, written anew from time to time.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>

#include "common/util/log.hpp"

namespace stats {

// Without a path it does nothing. Any thread may call any method.
class StatsFile {
 public:
  // `parameter` is what names the file to the user, for messages; `text` makes the content, in the
  // calling thread, and must be good for as long as this lives.
  StatsFile(std::string parameter, std::string path, std::function<std::string()> text,
            util::Log log)
      : parameter_(std::move(parameter)),
        path_(std::move(path)),
        text_(std::move(text)),
        log_(std::move(log)) {}

  // Throws util::Error if the file cannot be written: for the start, when a person can mend it.
  void write();
  // Later on: if the last time is two seconds ago. A failure is a warning, given once.
  void write_if_due() noexcept;
  // The same, due or not: for the end.
  void write_anyway() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  void write_locked();
  void try_write_locked() noexcept;

  const std::string parameter_;
  const std::string path_;
  const std::function<std::string()> text_;
  const util::Log log_;
  std::mutex lock_;  // protects what follows, and the file: one writes, the others need not wait
  Clock::time_point due_{};
  bool warned_ = false;
};

}  // namespace stats
