// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/parameters.hpp"

#include <cerrno>
#include <cstdint>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "common/util/sample.hpp"
#include "filters/apply/source/source.hpp"

namespace apply {

namespace {

const std::string &not_empty(const std::string &key, const std::string &value) {
  if (value.empty()) util::fail(EINVAL, "{}=: must not be empty", key);
  return value;
}

}  // namespace

bool Parameters::set(const std::string &key, const std::string &value) {
  if (key == "apply-from") {
    settings.source = is_uri(value) ? nbd::absolute_uri(value) : nbdkit::absolute_path(value);
  } else if (key == "apply-state") {
    settings.state_path = nbdkit::absolute_path(value);
  } else if (key == "apply-destination") {
    if (value.empty()) util::fail(EINVAL, "apply-destination=: must be a name");
    settings.destination = value;
  } else if (key == "apply-verify") {
    settings.verify = value == "off" || value == "0" ? 0 : util::parse_percent(key, value);
  } else if (key == "apply-image") {
    settings.any_image = nbdkit::parse_choice(key, value, {"same", "any"}) == 1;
  } else if (key == "apply-digests") {
    settings.digests_path = nbdkit::absolute_path(not_empty(key, value));
  } else if (key == "apply-digests-parent") {
    settings.digests_parent = nbdkit::absolute_path(not_empty(key, value));
  } else if (key == "apply-stats") {
    settings.stats_path = nbdkit::absolute_path(value);
  } else if (key == "apply-connect-timeout") {
    settings.timeouts.connect = nbdkit::parse_timeout(key, value);
  } else if (key == "apply-timeout") {
    settings.timeouts.request = nbdkit::parse_timeout(key, value);
  } else {
    return false;
  }
  return true;
}

void Parameters::complete() const {
  if (settings.source.empty()) {
    util::fail(
        EINVAL,
        "apply-from is required: the URI of the source's delta view, or a file with its map");
  }
  if (settings.digests_path.empty() && !settings.digests_parent.empty()) {
    util::fail(EINVAL, "apply-digests-parent= needs apply-digests=");
  }
  if (settings.state_path.empty()) {
    util::fail(
        EINVAL,
        "apply-state is required: the state file of this destination; it need not exist yet");
  }
}

}  // namespace apply
