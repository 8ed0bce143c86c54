// SPDX-License-Identifier: BSD-3-Clause
//
// The threads that read ahead.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/coalesce/lower_connection.hpp"
#include "filters/coalesce/prefetch/client_connections.hpp"
#include "filters/coalesce/prefetch/fetcher.hpp"
#include "filters/coalesce/prefetch/read_ahead.hpp"
#include "filters/coalesce/settings.hpp"

namespace coalesce {

// Settings::workers threads, started when the first stream is recognised, or at once if there are ranges
// with priority. Each does one FetchJob after another, through a client's connection or, with a Connect
// function, through a connection of its own.
class Workers {
 public:
  // Opens a worker's own connection, in the thread of that worker. nullptr, or an exception, if that is
  // not possible: the worker ends.
  using Connect = std::function<std::unique_ptr<LowerConnection>()>;

  // The references must outlive it.
  Workers(const Settings &settings, ReadAhead &read_ahead, Fetcher &fetcher, util::Log log,
          Connect connect);
  // Waits for the I/O that the workers are doing.
  ~Workers();
  Workers(const Workers &) = delete;
  Workers &operator=(const Workers &) = delete;

  // The workers may use the connection until detach() returns, which waits for their I/O on it.
  void attach(LowerConnection &connection) ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  void detach(LowerConnection &connection) noexcept ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);

  // There may be a job. Starts the threads if that has not been done. May be called with the lock held,
  // which was measured to cost less than a wake-up after it is released.
  void wake();

 private:
  void start();
  void run() noexcept ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);
  void do_jobs(LowerConnection *own) ABSL_LOCKS_EXCLUDED(read_ahead_.mutex);

  const Settings &settings_;
  ReadAhead &read_ahead_;  // its mutex protects what is guarded by it here
  Fetcher &fetcher_;
  const util::Log log_;
  const Connect connect_;

  util::Condition work_;      // there may be a job, or stop_ is set
  util::Condition released_;  // a worker no longer uses a client's connection
  ClientConnections connections_ ABSL_GUARDED_BY(read_ahead_.mutex);
  bool stop_ ABSL_GUARDED_BY(read_ahead_.mutex) = false;
  std::once_flag started_;
  std::vector<std::thread> threads_;  // changed by start() only
};

}  // namespace coalesce
