// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <functional>
#include <thread>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/source/remote_disk.hpp"
#include "filters/pull/source/source_map.hpp"

namespace pull {

// A thread that reads the source's map. What cannot be read is taken for data.
class MapReader {
 public:
  // Both must outlive it.
  MapReader(RemoteDisk &remote, SourceMap &map, util::Log log);
  // Waits for the thread; RemoteDisk::interrupt() makes that short.
  ~MapReader() { thread_.join(); }
  MapReader(const MapReader &) = delete;
  MapReader &operator=(const MapReader &) = delete;

  // Calls f when the map is known to its end: from the thread, or at once. It must be valid until the destructor ends.
  void when_known(std::function<void()> f) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void read(RemoteDisk &remote, SourceMap &map) const;
  void ended() ABSL_LOCKS_EXCLUDED(mutex_);

  const util::Log log_;
  util::Mutex mutex_;
  bool known_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> when_known_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace pull
