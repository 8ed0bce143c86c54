// SPDX-License-Identifier: BSD-3-Clause
//
// The file with a module's counters, rewritten periodically.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"

namespace stats {

// With an empty path it does nothing. Any thread may call any method.
class StatsFile {
 public:
  // `parameter` names the file in messages. `text` produces the content, in the calling thread; what it
  // refers to must outlive this object.
  StatsFile(std::string parameter, std::string path, std::function<std::string()> text,
            util::Log log)
      : parameter_(std::move(parameter)),
        path_(std::move(path)),
        text_(std::move(text)),
        log_(std::move(log)) {}

  // For the start. Throws util::Error if the file cannot be written.
  void write();
  // Writes the file if the last write is at least two seconds ago. The first failure is a warning; later
  // ones are not reported.
  void write_if_due() noexcept;
  // The same, due or not, for the end.
  void write_anyway() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  void write_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void try_write_locked() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string parameter_;
  const std::string path_;
  const std::function<std::string()> text_;
  const util::Log log_;
  util::Mutex mutex_;  // also held while the file is written; write_if_due() does not wait for it
  Clock::time_point due_ ABSL_GUARDED_BY(mutex_){};
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace stats
