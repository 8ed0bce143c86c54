// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/parameters.hpp"

#include <cerrno>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/replication/state_directory.hpp"
#include "common/util/error.hpp"
#include "filters/delta/changes/context.hpp"

namespace delta {

namespace {

const std::string &not_empty(const std::string &key, const std::string &value) {
  if (value.empty()) util::fail(EINVAL, "{}=: must not be empty", key);
  return value;
}

}  // namespace

bool Parameters::set(const std::string &key, const std::string &value) {
  if (key == "delta-owed") {
    settings.owed_path = nbdkit::absolute_path(value);
  } else if (key == "delta-zeroes") {
    settings.zeroes = Zeroes(nbdkit::parse_choice(key, value, {"zero", "data"}));
  } else if (key == "delta-map") {
    settings.map.value = value;
    settings.map.value =
        settings.map.is_uri() ? nbd::absolute_uri(value) : nbdkit::absolute_path(value);
  } else if (key == "delta-map-context") {
    settings.map.context = not_empty(key, value);
  } else if (key == "delta-since") {
    settings.points.since = not_empty(key, value);
  } else if (key == "delta-checkpoint") {
    settings.points.checkpoint = not_empty(key, value);
  } else if (key == "delta-digests") {
    settings.digests.path = nbdkit::absolute_path(not_empty(key, value));
  } else if (key == "delta-disk") {
    settings.points.disk_name = not_empty(key, value);
  } else if (key == "delta-on-reset") {
    settings.points.fail_on_reset = nbdkit::parse_choice(key, value, {"full", "fail"}) == 1;
  } else if (key == "delta-check") {
    settings.check_path = nbdkit::absolute_path(not_empty(key, value));
  } else {
    return false;
  }
  others_ = others_ || key != "delta-check";
  return true;
}

void Parameters::complete() {
  if (!settings.check_path.empty() && others_) {
    util::fail(
        EINVAL,
        "delta-check= shows an image as it is: no other parameter of the filter goes with it");
  }
  const bool mapped = !settings.map.value.empty(), digested = !settings.digests.path.empty();
  Points &points = settings.points;
  if (mapped && digested) util::fail(EINVAL, "delta-map= and delta-digests= exclude each other");
  if (!mapped &&
      (!settings.map.context.empty() || !points.since.empty() || !points.checkpoint.empty())) {
    util::fail(EINVAL, "delta-map-context=, delta-since= and delta-checkpoint= need delta-map=");
  }
  if (!mapped && !digested && (!points.disk_name.empty() || points.fail_on_reset)) {
    util::fail(EINVAL, "delta-disk= and delta-on-reset= need delta-map= or delta-digests=");
  }
  if (mapped) complete_points();
  if (digested) {
    if (settings.owed_path.empty() || replication::names_directory(settings.owed_path)) {
      util::fail(
          EINVAL,
          "delta-digests= needs delta-owed= with the state file of the destination: it tells which "
          "digests are those of what the destination holds");
    }
    settings.digests.disk_name = points.disk_name;
    settings.digests.fail_on_reset = points.fail_on_reset;
  }
}

void Parameters::complete_points() {
  Points &points = settings.points;
  // libvirt calls the bitmap as the checkpoint that it begins at.
  if (points.since.empty()) points.since = bitmap_name(settings.map.context);
  if (points.since.empty()) {
    util::fail(EINVAL, "delta-map= needs delta-since=: the checkpoint where the map begins");
  }
  if (points.checkpoint.empty()) {
    util::fail(EINVAL,
               "delta-map= needs delta-checkpoint=: a name for what the disk shows now, which is "
               "delta-since= "
               "of the next run");
  }
  if (points.checkpoint == points.since) {
    util::fail(EINVAL,
               "delta-checkpoint={} is also where the map begins: give what the disk shows now a "
               "name of its "
               "own",
               points.checkpoint);
  }
}

}  // namespace delta
