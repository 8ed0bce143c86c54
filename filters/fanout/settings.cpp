// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/settings.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include "common/nbd/uri.hpp"
#include "common/util/error.hpp"

namespace fanout {

void SettingsList::add(const std::string &uri) {
  if (uri.empty())
    util::fail(EINVAL, "fanout-dest=: must be an NBD URI, such as nbd://host/export");
  DestinationSettings settings = defaults_;
  settings.uri = nbd::absolute_uri(uri);
  list_.push_back(settings);
}

void SettingsList::set_name(const std::string &name) {
  if (list_.empty()) {
    util::fail(EINVAL, "fanout-name={}: must follow the fanout-dest that it names", name);
  }
  bool printable = std::all_of(name.begin(), name.end(),
                               [](char c) { return static_cast<unsigned char>(c) >= ' '; });
  if (name.empty() || !printable) {
    util::fail(EINVAL, "fanout-name={}: must be a name without control characters", name);
  }
  list_.back().name = name;
}

void SettingsList::complete() {
  if (list_.empty()) {
    util::fail(EINVAL, "fanout-dest=URI is missing: give one for each destination");
  }
  std::set<std::string> names;
  for (auto &settings : list_) {
    if (settings.name.empty()) settings.name = nbd::name_of_uri(settings.uri);
    if (!names.insert(settings.name).second) {
      util::fail(EINVAL,
                 "two destinations are called {}: give each a fanout-name of its own (and if it is "
                 "the same export twice, give it once)",
                 settings.name);
    }
  }
}

}  // namespace fanout
