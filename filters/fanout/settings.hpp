// SPDX-License-Identifier: BSD-3-Clause
//
// The destinations as the command line lists them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "filters/fanout/destination/state.hpp"

namespace fanout {

struct Settings {
  std::string uri;
  std::string name;           // for messages and counters; unique
  unsigned concurrency = 16;  // requests in flight
  unsigned connections = 4;   // where the server offers multi-conn
  uint64_t rate = 0;          // bytes a second; 0: no limit
  bool new_owes_all = false;  // without a state file: else it is taken to be equal
  double verify = 0;          // the share of the blocks that are read back at the end
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};  // for each request
  Machine::Policy policy;
};

// What holds for all of them together.
struct CommonSettings {
  unsigned active = 0;          // how many are served at once; 0: all
  std::string state_directory;  // empty: what is owed is not saved
  std::string stats_path;
  std::chrono::milliseconds drain_timeout{86'400'000};
};

// What follows a fanout-dest applies to that destination; what precedes the first one is the
// default of all.
class SettingsList {
 public:
  void add(const std::string &uri);
  // Of the latest destination; EINVAL if there is none yet.
  void set_name(const std::string &name);
  // What the other parameters apply to at this point of the command line.
  Settings &current() { return list_.empty() ? defaults_ : list_.back(); }

  // Names those that have no name. Throws EINVAL if there is no destination, or two have one name.
  void complete();

  const std::vector<Settings> &list() const { return list_; }

 private:
  Settings defaults_;
  std::vector<Settings> list_;
};

}  // namespace fanout
