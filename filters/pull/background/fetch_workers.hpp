// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/background/fetch_depth.hpp"
#include "filters/pull/background/rate_limit.hpp"
#include "filters/pull/chunks/chunk_fetcher.hpp"
#include "filters/pull/chunks/presence.hpp"
#include "filters/pull/order/fetch_order.hpp"
#include "filters/pull/settings.hpp"
#include "filters/pull/source/source_map.hpp"

namespace pull {

// The threads that fetch what no client waits for. Its methods may be called from any thread.
class FetchWorkers {
 public:
  struct Parts {
    Presence &presence;
    ChunkFetcher &fetcher;
    SourceMap &map;
    // Called with the reason when something could not be fetched (empty: the layer below has said why). If there is
    // no such function it is tried again.
    std::function<void(const std::string &)> give_up;
  };
  // Starts the threads; all that is given must outlive it. What the map does not tell yet
  // waits for it.
  FetchWorkers(const Settings &settings, uint64_t size, Parts parts, util::Log log);
  // Waits for what is under way; RemoteDisk::interrupt() makes that short.
  ~FetchWorkers();
  FetchWorkers(const FetchWorkers &) = delete;
  FetchWorkers &operator=(const FetchWorkers &) = delete;

  // Nothing further is begun.
  void stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // A client reads: what lies ahead may be wanted.
  void note_read(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  // A client waits for the range.
  void want(extents::Range range) ABSL_LOCKS_EXCLUDED(mutex_);
  // A client does something: the rest is not to stand in its way.
  void note_client() { last_client_ = Clock::now().time_since_epoch().count(); }

  // The map tells more.
  void note_map() ABSL_LOCKS_EXCLUDED(mutex_);

  extents::Range chunk_of(uint64_t offset) const { return order_.chunk_of(offset); }

 private:
  using Clock = FetchOrder::Clock;
  class View;

  void work();
  void add_connections();
  void connect_again();
  std::optional<ChunkJob> wait_for_job() ABSL_LOCKS_EXCLUDED(mutex_);
  bool fetch(const ChunkJob &job);
  void finish(const ChunkJob &job, bool stored, Clock::duration took) ABSL_LOCKS_EXCLUDED(mutex_);
  void failed(const ChunkJob &job, const std::string &why, bool all) ABSL_LOCKS_EXCLUDED(mutex_);
  bool client_is_active() const;

  const unsigned number_;
  const bool give_way_;  // to clients, which a copy does not have
  const std::chrono::milliseconds retry_;
  Parts parts_;
  const util::Log log_;
  std::atomic<Clock::rep> last_client_ = 0;

  util::Mutex mutex_;  // before those of Presence, SourceMap and RemoteDisk
  util::Condition work_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  FetchOrder order_;  // but for chunk_of() and note_read(), guarded by mutex_
  RateLimit rate_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point not_before_ ABSL_GUARDED_BY(
      mutex_){};  // nothing is fetched before that, or until something is stored after all
  unsigned rest_under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  FetchDepth depth_ ABSL_GUARDED_BY(mutex_);
  bool reconnecting_ ABSL_GUARDED_BY(mutex_) =
      false;  // one of the threads connects to a source that was given up
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace pull
