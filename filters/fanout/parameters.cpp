// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/parameters.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"
#include "common/util/sample.hpp"

namespace fanout {

bool Parameters::set(const std::string &key, const std::string &value) {
  if (set_for_one(key, value) || set_for_all(key, value)) return true;
  if (!key.starts_with("fanout-")) return false;
  util::fail(EINVAL, "unknown parameter {}: see nbdkit-fanout-filter(1)", key);
}

void Parameters::complete() {
  list_.complete();
  const auto &all = list_.list();
  bool owed = std::any_of(all.begin(), all.end(), [](const Settings &s) { return s.new_owes_all; });
  if (owed && common_.state_directory.empty()) {
    util::fail(EINVAL, "fanout-new=owed: wants fanout-state=DIR, by which a destination is known");
  }
}

bool Parameters::set_for_one(const std::string &key, const std::string &value) {
  Settings &settings = list_.current();
  if (key == "fanout-dest") {
    list_.add(value);
  } else if (key == "fanout-name") {
    list_.set_name(value);
  } else if (key == "fanout-mode") {
    settings.policy.async = values_.choice(key, value, {"sync", "async"}) == 1;
  } else if (key == "fanout-on-error") {
    settings.policy.detach = values_.choice(key, value, {"fail", "detach"}) == 1;
  } else if (key == "fanout-new") {
    settings.new_owes_all = values_.choice(key, value, {"equal", "owed"}) == 1;
  } else if (key == "fanout-concurrency") {
    settings.concurrency = values_.number(key, value, 1, 256);
  } else if (key == "fanout-connections") {
    settings.connections = values_.number(key, value, 1, 16);
  } else if (key == "fanout-rate") {
    constexpr uint64_t slowest = 4096, fastest = uint64_t{1} << 40;
    settings.rate = value == "0" ? 0 : values_.size(key, value, slowest, fastest);
  } else if (key == "fanout-retries") {
    settings.policy.retries = values_.number(key, value, 0, 100);
  } else if (key == "fanout-retry-delay") {
    settings.policy.retry_delay = values_.seconds(key, value);
  } else if (key == "fanout-retry-max") {
    settings.policy.retry_max = values_.seconds(key, value);
  } else if (key == "fanout-connect-timeout") {
    settings.connect_timeout = values_.seconds(key, value);
  } else if (key == "fanout-timeout") {
    settings.request_timeout = values_.seconds(key, value);
  } else if (key == "fanout-verify") {
    settings.verify = util::parse_percent(key, value);
  } else {
    return false;
  }
  return true;
}

bool Parameters::set_for_all(const std::string &key, const std::string &value) {
  if (key == "fanout-active") {
    if (value == "all") {
      common_.active = 0;
    } else if (value == "serial") {
      common_.active = 1;
    } else {
      constexpr unsigned most = 1000;
      try {
        common_.active = values_.number(key, value, 1, most);
      } catch (const util::Error &) {
        util::fail(EINVAL, "{}={}: must be all, serial, or a number between 1 and {}", key, value,
                   most);
      }
    }
  } else if (key == "fanout-state") {
    if (value.empty()) util::fail(EINVAL, "fanout-state=: must be a directory");
    common_.state_directory = values_.path(value);
  } else if (key == "fanout-drain-timeout") {
    common_.drain_timeout = values_.seconds(key, value);
  } else if (key == "fanout-stats") {
    common_.stats_path = values_.path(value);
  } else {
    return false;
  }
  return true;
}

}  // namespace fanout
