// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/parameters.hpp"

#include <bit>
#include <cerrno>
#include <cstdint>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"

namespace pull {

namespace {

uint64_t parse_chunk(const std::string &key, const std::string &value) {
  const uint64_t chunk = nbdkit::parse_size(key, value, 64u << 10, 32u << 20);
  if (!std::has_single_bit(chunk)) util::fail(EINVAL, "{}={}: must be a power of two", key, value);
  return chunk;
}

}  // namespace

bool Parameters::set(const std::string &key, const std::string &value) {
  constexpr uint64_t slowest = 4096, most = uint64_t{1} << 40;
  if (key == "pull-from") {
    if (value.find("://") == std::string::npos)
      util::fail(EINVAL, "{}={}: must be the URI of an NBD server", key, value);
    settings.uri = nbd::absolute_uri(value);
  } else if (key == "pull-state") {
    settings.state_path = nbdkit::absolute_path(value);
  } else if (key == "pull-copy") {
    settings.copy = nbdkit::parse_bool(key, value);
  } else if (key == "pull-workers") {
    settings.workers = nbdkit::parse_unsigned(key, value, 1, 64);
  } else if (key == "pull-chunk") {
    settings.chunk = parse_chunk(key, value);
  } else if (key == "pull-rate") {
    settings.rate = value == "0" ? 0 : nbdkit::parse_size(key, value, slowest, most);
  } else if (key == "pull-connections") {
    settings.connections = nbdkit::parse_unsigned(key, value, 1, 16);
  } else if (key == "pull-memory") {
    settings.memory = nbdkit::parse_size(key, value, 128u << 10, most);
  } else if (key == "pull-priority") {
    settings.priority = nbdkit::parse_ranges(key, value);
  } else if (key == "pull-image") {
    settings.any_image = nbdkit::parse_choice(key, value, {"same", "any"}) == 1;
  } else if (key == "dir") {
    // Of the plugin. nbdkit's file plugin crashes when it is opened without an export name (1.32).
    util::fail(EINVAL,
               "pull: dir={}: a plugin that serves a directory finds its file by the name of the "
               "export, and the "
               "filter has only the default export: give it one file",
               value);
  } else if (key == "pull-stats") {
    settings.stats_path = nbdkit::absolute_path(value);
  } else {
    return set_patience(key, value);
  }
  return true;
}

bool Parameters::set_patience(const std::string &key, const std::string &value) {
  Patience &patience = settings.patience;
  if (key == "pull-retries") {
    patience.retries = nbdkit::parse_unsigned(key, value, 0, 100);
  } else if (key == "pull-retry-delay") {
    patience.retry_delay = nbdkit::parse_timeout(key, value);
  } else if (key == "pull-retry-max") {
    patience.retry_max = nbdkit::parse_timeout(key, value);
  } else if (key == "pull-connect-timeout") {
    patience.connect = nbdkit::parse_timeout(key, value);
  } else if (key == "pull-timeout") {
    patience.request = nbdkit::parse_timeout(key, value);
  } else {
    return false;
  }
  return true;
}

void Parameters::complete() {
  if (settings.uri.empty()) util::fail(EINVAL, "pull-from is required: the URI of the source");
  if (settings.copy) {
    complete_copy();
  } else if (settings.state_path.empty()) {
    util::fail(EINVAL,
               "pull-state is required: the state file of the disk below; it need not exist yet");
  }
  if (settings.memory < 2 * settings.chunk) {
    util::fail(EINVAL,
               "pull-memory={}: must be at least twice pull-chunk, which is {} bytes; increase it "
               "or reduce the chunk "
               "size",
               settings.memory, settings.chunk);
  }
}

void Parameters::complete_copy() {
  if (!settings.state_path.empty() || settings.any_image) {
    util::fail(EINVAL,
               "pull-copy=on keeps no state, and compares no image: leave out pull-state and "
               "pull-image; nbdkit-apply-filter, below this filter, does both");
  }
  settings.patience.is_final = true;
}

}  // namespace pull
