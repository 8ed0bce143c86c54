// SPDX-License-Identifier: BSD-3-Clause
//
// What the parameters come to.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace fanout {

// When a destination is written to, and what happens when it fails.
struct DestinationPolicy {
  bool async = false;   // fanout-mode
  bool detach = false;  // fanout-on-error; else fail
  unsigned retries = 3;
  std::chrono::milliseconds retry_delay{1000};
  std::chrono::milliseconds retry_max{30'000};
};

struct DestinationSettings {
  std::string uri;
  std::string name;           // for messages and counters; unique
  unsigned concurrency = 16;  // requests in flight
  unsigned connections = 4;   // where the server offers multi-conn
  uint64_t rate = 0;          // bytes a second; 0: no limit
  bool new_owes_all = false;  // without a state file; else it is taken to be equal
  bool spot_check = true;     // a few blocks are compared before it is relied on
  double verify = 0;          // the share of the blocks that are read back at the end
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};  // for each request
  DestinationPolicy policy;
  // When its state file is saved without a request, beside when it has caught up: so long after connecting, then so often.
  // A failure is tried again as often.
  std::chrono::seconds first_save{1}, save_interval{5};
};

struct Settings {
  std::vector<DestinationSettings> destinations;
  unsigned active = 0;          // how many are served at once; 0: all
  std::string state_directory;  // empty: what is owed is not saved
  std::string stats_path;
  std::chrono::milliseconds drain_timeout{86'400'000};
};

// The destinations in the order of the command line. A parameter after a fanout-dest applies to
// that destination, one before the first fanout-dest is the default of all.
class SettingsList {
 public:
  void add(const std::string &uri);
  // Of the last destination; throws EINVAL if there is none yet.
  void set_name(const std::string &name);
  // What the other parameters apply to at this point of the command line.
  DestinationSettings &current() { return list_.empty() ? defaults_ : list_.back(); }

  // Gives a name to those that have none. Throws EINVAL if there is no destination, or if two have
  // the same name.
  void complete();

  const std::vector<DestinationSettings> &list() const { return list_; }

 private:
  DestinationSettings defaults_;
  std::vector<DestinationSettings> list_;
};

}  // namespace fanout
