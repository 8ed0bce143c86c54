// SPDX-License-Identifier: BSD-3-Clause
//
// The destinations as the command line lists them.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace fanout {

struct Settings {
  std::string uri;
  std::string name;           // for messages and counters; unique
  unsigned concurrency = 16;  // requests in flight
  unsigned connections = 4;   // where the server offers multi-conn
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};  // for each request
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
