// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/extents/range_lock.hpp"
#include "common/replication/destination_image.hpp"
#include "common/stats/stats_file.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/log.hpp"
#include "common/util/waiters.hpp"
#include "filters/pull/background/fetch_workers.hpp"
#include "filters/pull/background/progress_saver.hpp"
#include "filters/pull/chunks/chunk_fetcher.hpp"
#include "filters/pull/counters.hpp"
#include "filters/pull/pull_client.hpp"
#include "filters/pull/settings.hpp"
#include "filters/pull/source/map_reader.hpp"
#include "filters/pull/source/remote_server.hpp"
#include "filters/pull/state/pull_state.hpp"
#include "filters/pull/state/state_saver.hpp"

namespace pull {

// The one disk of a pull server: the source, the local disk, what is here, and the threads.
//
// Lock order: the rounds of a client's flushes, the rounds of StateSaver; RangeLock (held while the local disk is
// written); FetchWorkers::mutex_; Presence::mutex_. Everything else is a leaf.
class PullServer {
 public:
  // What the layer below is, as the background connection finds it.
  struct Below {
    uint64_t size;           // bytes
    uint32_t minimum_block;  // bytes
    bool can_write;
    bool flush_covers_all;    // also what other connections wrote
    std::string description;  // of its export
  };

  // Locks and reads the state, and asks the source. No thread and no connection is left: a fork may follow. Throws
  // util::Error. end: with Settings::copy, called when the copy has ended, completely or not (an error says so then).
  PullServer(Settings settings, util::Log log, std::function<void()> end);
  ~PullServer();
  PullServer(const PullServer &) = delete;
  PullServer &operator=(const PullServer &) = delete;

  // After the fork: begins to read the source's map, which start() need not wait for.
  void read_ahead();
  // After that: checks the layer below, saves the state, starts to fetch. Throws util::Error.
  void start(std::unique_ptr<LocalDisk> local, const Below &below);
  // Ends the threads, and all waits for the source. The last save.
  void stop();

  // Those that wait for the source.
  util::Waiters &waiting_clients() { return waiting_; }
  // Ends all waits for the source: they fail from now on. What is here can still be read and written.
  void interrupt() { remote_.interrupt(); }

  // A client that reaches the local disk through `local`, which must outlive it. After start().
  std::unique_ptr<PullClient> join(LocalDisk &local);

  // Called every two seconds by one thread: logs a line of progress, and writes the statistics.
  void tick() noexcept;

  uint64_t size() const { return state_.header.size; }  // of the source, in bytes

 private:
  static PullState read_state(const Settings &settings, const util::Log &log);
  RemoteServer::Check check() const;
  void check_below(const Below &below);
  void start_threads();
  void end_of_fetching();
  void give_up(const std::string &why);
  Gauges gauges() const;

  const Settings settings_;
  const util::Log log_;
  const std::function<void()> end_;
  const std::optional<util::FileLock> lock_;  // of the state, if there is one
  PullState state_;
  Presence presence_;
  SourceMap map_;
  extents::RangeLock changes_;
  Memory memory_;
  Counters counters_;
  StateSaver saver_;
  RemoteServer remote_;
  util::Waiters waiting_;
  replication::DestinationImage image_;
  stats::StatsFile stats_;
  std::string progress_;  // the last line; tick()'s alone

  std::optional<MapReader> map_reader_;  // from read_ahead() to stop()

  // From start() to stop().
  std::unique_ptr<LocalDisk> local_;
  std::optional<ChunkFetcher> fetcher_;
  std::optional<FlushScope> shared_scope_;  // of all clients, where a flush covers all
  std::unique_ptr<FetchWorkers> workers_;
  std::unique_ptr<ProgressSaver> progress_saver_;
  std::atomic<bool> whole_ = false;  // nothing is owed
  std::atomic<bool> given_up_ = false;
};

}  // namespace pull
