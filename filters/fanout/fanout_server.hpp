// SPDX-License-Identifier: BSD-3-Clause
//
// What all clients share for as long as the server runs: the destinations, and who is there. From the
// first client's arrival until the last has gone, and what is owed has been drained, the destinations
// are open.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/stats/stats_file.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/broadcast/broadcaster.hpp"
#include "filters/fanout/primary_readers.hpp"
#include "filters/fanout/settings.hpp"
#include "filters/fanout/active_slots.hpp"

namespace fanout {

// May be used from any thread.
class Shared {
 public:
  // Reads the state files, asks each destination whether it is there, and writes the statistics for the
  // first time; leaves no thread behind. Throws util::Error if that fails.
  Shared(const std::vector<Settings> &settings, const CommonSettings &common, util::Log log);
  ~Shared();

  // How the primary is read when there is no client. May give nothing, or throw: then the last client
  // has to wait for what is drained.
  using OwnReader = std::function<Readers::Read()>;
  // After the fork: starts the thread that drains.
  void start(OwnReader reader);

  // A client of an export that may be read by `read` until leave() returns. The first one's arrival
  // opens the destinations: throws if one cannot be, or does not fit. The destinations hold one export:
  // clients of another may come (nothing is returned), but not write.
  std::optional<Readers::Id> join(uint64_t primary_size, const std::string &export_name,
                                  Readers::Read read);
  // When the last one has gone what is owed is drained, in the background if the primary can be read
  // without a client, until nothing is owed any more, or another client has come, or the patience
  // (drain_timeout) is at an end.
  void leave(Readers::Id id);
  // Waits for the end of that. No client may come any more.
  void finish();

  // Before the first write of a client: throws EINVAL if the destinations hold another export.
  void claim(const std::string &export_name);

  Fan &fan() { return *fan_; }
  stats::StatsFile &stats() { return stats_; }
  void tick() noexcept;  // every two seconds

 private:
  void probe(const std::vector<Settings> &settings);
  void say_mode(size_t number, unsigned active) const;
  void open(uint64_t primary_size, const std::string &export_name);
  void close();
  void drain(std::unique_lock<std::mutex> &lock);
  bool drain_in_background();
  void run_drainer();
  bool all_at_end() const;
  bool anything_to_copy() const;

  const CommonSettings common_;
  const util::Log log_;
  CountersList counters_;
  stats::StatsFile stats_;
  Readers readers_;
  std::unique_ptr<Turns> turns_;
  DestinationList destinations_;
  std::optional<Fan> fan_;
  OwnReader own_reader_;

  mutable std::mutex lock_;  // protects what follows; held while they are opened, for who comes
                             // meanwhile needs them too, and while they are closed
  std::condition_variable changed_;
  std::optional<std::string> export_;  // that was written, or that the state is of
  std::string open_export_;            // that was come for when they were opened
  size_t clients_ = 0;
  bool draining_ = false;
  bool drain_wanted_ = false, ending_ = false;  // of the drainer
  std::optional<Readers::Id> own_;              // while it drains
  std::atomic<bool> open_ = false;
  std::thread drainer_;
};

}  // namespace fanout
