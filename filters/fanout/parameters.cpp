// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/parameters.hpp"

#include <algorithm>
#include <cerrno>

#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "common/util/sample.hpp"

namespace fanout {

namespace {

// How many destinations; 0: all.
unsigned parse_active(const std::string &key, const std::string &value) {
  if (value == "all") return 0;
  if (value == "serial") return 1;
  constexpr unsigned most = 1000;
  try {
    return nbdkit::parse_unsigned(key, value, 1, most);
  } catch (const util::Error &) {
    util::fail(EINVAL, "{}={}: must be all, serial, or a number between 1 and {}", key, value,
               most);
  }
}

}  // namespace

bool Parameters::set(const std::string &key, const std::string &value) {
  return set_for_one(key, value) || set_for_all(key, value);
}

void Parameters::complete() {
  list_.complete();
  settings_.destinations = list_.list();
  const bool owed = std::ranges::any_of(settings_.destinations, &DestinationSettings::new_owes_all);
  if (owed && settings_.state_directory.empty()) {
    util::fail(EINVAL, "fanout-new=owed: requires fanout-state=DIR, which tells a new destination");
  }
}

bool Parameters::set_for_one(const std::string &key, const std::string &value) {
  DestinationSettings &settings = list_.current();
  if (key == "fanout-dest") {
    list_.add(value);
  } else if (key == "fanout-name") {
    list_.set_name(value);
  } else if (key == "fanout-mode") {
    settings.policy.async = nbdkit::parse_choice(key, value, {"sync", "async"}) == 1;
  } else if (key == "fanout-on-error") {
    settings.policy.detach = nbdkit::parse_choice(key, value, {"fail", "detach"}) == 1;
  } else if (key == "fanout-new") {
    settings.new_owes_all = nbdkit::parse_choice(key, value, {"equal", "owed"}) == 1;
  } else if (key == "fanout-concurrency") {
    settings.concurrency = nbdkit::parse_unsigned(key, value, 1, 256);
  } else if (key == "fanout-connections") {
    settings.connections = nbdkit::parse_unsigned(key, value, 1, 16);
  } else if (key == "fanout-rate") {
    constexpr uint64_t slowest = 4096, fastest = uint64_t{1} << 40;
    settings.rate = value == "0" ? 0 : nbdkit::parse_size(key, value, slowest, fastest);
  } else if (key == "fanout-retries") {
    settings.policy.retries = nbdkit::parse_unsigned(key, value, 0, 100);
  } else if (key == "fanout-retry-delay") {
    settings.policy.retry_delay = nbdkit::parse_timeout(key, value);
  } else if (key == "fanout-retry-max") {
    settings.policy.retry_max = nbdkit::parse_timeout(key, value);
  } else if (key == "fanout-connect-timeout") {
    settings.connect_timeout = nbdkit::parse_timeout(key, value);
  } else if (key == "fanout-timeout") {
    settings.request_timeout = nbdkit::parse_timeout(key, value);
  } else if (key == "fanout-verify") {
    settings.spot_check = value != "off" && value != "0";
    settings.verify = settings.spot_check ? util::parse_percent(key, value) : 0;
  } else {
    return false;
  }
  return true;
}

bool Parameters::set_for_all(const std::string &key, const std::string &value) {
  if (key == "fanout-active") {
    settings_.active = parse_active(key, value);
  } else if (key == "fanout-state") {
    if (value.empty()) util::fail(EINVAL, "fanout-state=: must be a directory");
    settings_.state_directory = nbdkit::absolute_path(value);
  } else if (key == "fanout-drain-timeout") {
    settings_.drain_timeout = nbdkit::parse_timeout(key, value);
  } else if (key == "fanout-stats") {
    settings_.stats_path = nbdkit::absolute_path(value);
  } else {
    return false;
  }
  return true;
}

}  // namespace fanout
