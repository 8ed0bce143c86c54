// SPDX-License-Identifier: BSD-3-Clause
//
// What all clients share for as long as the server runs: the counters, and the session while there
// is one.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/stats/stats_file.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/session.hpp"
#include "filters/fanout/settings.hpp"

namespace fanout {

// May be used from any thread.
class Shared {
 public:
  // Writes the statistics for the first time; throws util::Error if that fails.
  Shared(std::vector<Settings> settings, const std::string &stats_path, util::Log log);
  ~Shared();

  // The connections that other clients have brought up, or new ones. They live until the last of
  // the clients has let go of them. Throws as Session does.
  std::shared_ptr<Session> session(uint64_t primary_size);

  // Before the first write of a client: the destinations hold one export of the primary. Throws
  // EINVAL if another one has been written.
  void claim(const std::string &export_name);

  stats::StatsFile &stats() { return stats_; }

 private:
  const std::vector<Settings> settings_;
  const util::Log log_;
  CountersList counters_;
  stats::StatsFile stats_;

  std::mutex connecting_;  // protects session_; held while it connects, for the others need it too
  std::weak_ptr<Session> session_;

  std::mutex claiming_;  // protects written_
  std::optional<std::string> written_;
};

}  // namespace fanout
