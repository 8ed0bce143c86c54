// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/mapped_source.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace delta {

MappedSource::MappedSource(ChangeMap map, Points points, std::string origin, const util::Log &log)
    : map_(std::move(map)), points_(std::move(points)), origin_(std::move(origin)), log_(log) {}

replication::SourceDescription MappedSource::describe(const std::string &lower, uint64_t size,
                                                      const replication::State *state) {
  map_.check_size(size, origin_);
  replication::SourceDescription shown{"delta",       points_.disk_name, 0, size, "delta",
                                       points_.since, points_.checkpoint};
  if (auto own = replication::parse_description(lower)) {
    if (own->mode == "delta") {
      util::fail(
          EINVAL,
          "{}: the layer below tells itself what has changed since \"{}\": leave out either its "
          "since= or delta-map=",
          origin_, own->since);
    }
    shown.source = own->source;
    shown.vm = own->vm;
    shown.disk = own->disk;
    shown.confirm_by_connection = own->confirm_by_connection;
  }
  // The state of a run that was interrupted has the present checkpoint, and owes what it lacks.
  const bool fits = state == nullptr || state->checkpoint == points_.since ||
                    state->checkpoint == points_.checkpoint;
  if (fits && state != nullptr && state->size > 0) changed_from_ = state->size;
  if (fits) return shown;
  shown.mode = "full";
  shown.since.clear();
  if (state->checkpoint.empty()) {
    changed_from_ = 0;
    return shown;
  }
  const std::string what = fmt::format(
      "{} tells what has changed since \"{}\", but the destination holds \"{}\" (delta-owed=)",
      origin_, points_.since, state->checkpoint);
  if (points_.fail_on_reset) {
    util::fail(EINVAL,
               "{}: make a map that begins there, or remove the state to start with a full copy",
               what);
  }
  if (changed_from_.exchange(0) != 0) log_.warning("{}: the whole disk is shown", what);
  return shown;
}

void MappedSource::honest(SourceDisk &disk, extents::Range range, Clock::time_point,
                          const Add &add) {
  const uint64_t changed_from = changed_from_;
  if (range.offset < changed_from) {
    range.length = std::min(range.length, changed_from - range.offset);
    const uint64_t changed = map_.unchanged_until(range);
    if (changed > range.offset) add({range.offset, changed - range.offset, extents::hole});
    if (changed == range.end()) return;
    range = {changed, range.end() - changed};
  }
  for (extents::Extent e : disk.extents(range)) {
    // A hole that is not known to be zero would mean "not changed".
    if (e.type == extents::hole) e.type = extents::data;
    if (range.offset >= changed_from) {
      add(e);
      continue;
    }
    map_.split(extents::intersect(e.range(), range), [&](const extents::Range &part, bool changed) {
      add({part.offset, part.length, changed ? e.type : extents::hole});
    });
  }
}

}  // namespace delta
