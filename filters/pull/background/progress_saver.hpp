// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/chunks/presence.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/source/remote_disk.hpp"
#include "filters/pull/state/state_saver.hpp"

namespace pull {

// The thread that makes durable what was fetched, asks the source whether it still shows what it has shown, and
// saves the state: about once a second, and at most a twentieth of the time, and when all is here. When nothing is
// owed it says so, and ends.
class ProgressSaver {
 public:
  struct Parts {
    Presence &presence;
    LocalDisk &local;  // the connection by which was fetched
    RemoteDisk &remote;
    StateSaver &state;
  };
  // flush_clients: makes durable what clients have written, where a flush of `local` covers it; may be empty.
  // whole: called once, by the thread, when nothing is owed. Both as long as the thread runs.
  // give_up: called with the reason when a save has failed (empty: the layer below has said why); if there is no such
  // function it is tried again. interval: between saves.
  ProgressSaver(Parts parts, std::function<void()> flush_clients, std::function<void()> whole,
                std::function<void(const std::string &)> give_up, util::Log log,
                std::chrono::milliseconds interval = std::chrono::seconds(1));
  // The last save, if the source need not be waited for.
  ~ProgressSaver();
  ProgressSaver(const ProgressSaver &) = delete;
  ProgressSaver &operator=(const ProgressSaver &) = delete;

 private:
  void run();
  bool save_progress();  // whether nothing is owed
  bool wait() ABSL_LOCKS_EXCLUDED(mutex_);
  void make_durable();
  void failed(const std::string &why);

  Parts parts_;
  const std::function<void()> flush_clients_, whole_;
  const std::function<void(const std::string &)> give_up_;
  const util::Log log_;
  const std::chrono::milliseconds interval_;
  std::string warned_;  // the last warning; the thread's

  util::Mutex mutex_;  // after Presence's
  util::Condition changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool all_is_here_ ABSL_GUARDED_BY(mutex_) = false;  // and has not been saved since
  std::thread thread_;                                // last: it uses all of the above
};

}  // namespace pull
