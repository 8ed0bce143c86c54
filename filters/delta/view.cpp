// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/view.hpp"

#include <cerrno>

#include "common/util/error.hpp"

namespace delta {

extents::Type view_type(extents::Type honest, bool owed, Zeroes zeroes) {
  if ((honest & extents::zero) != 0) {
    return zeroes == Zeroes::zero ? extents::zero : extents::data;
  }
  bool unchanged = (honest & extents::hole) != 0;
  return unchanged && !owed ? extents::hole | extents::zero : extents::data;
}

void show(const extents::Extent &honest, const extents::RangeSet &owed, Zeroes zeroes,
          const std::function<void(const extents::Extent &)> &add) {
  owed.split(honest.range(), [&](extents::Range part, bool in) {
    add({part.offset, part.length, view_type(honest.type, in, zeroes)});
    return true;
  });
}

extents::RangeSet owed_of(const std::optional<convention::State> &state, const std::string &path,
                          const std::string &description, uint64_t size) {
  extents::RangeSet owed(size);
  if (!state) return owed;
  if (state->size != size) {
    util::fail(EINVAL,
               "delta-owed={}: that state is of a disk of {} bytes, this one has {}; give the "
               "destination's own state file, or remove it to start with a full copy",
               path, state->size, size);
  }
  auto source = convention::parse_description(description);
  if (source && (source->source != state->source || source->vm != state->vm ||
                 source->disk != state->disk)) {
    util::fail(EINVAL,
               "delta-owed={}: that state is of {} {} disk {}, this is {} {} disk {}; give the "
               "destination's own state file, or remove it to start with a full copy",
               path, state->source, state->vm, state->disk, source->source, source->vm,
               source->disk);
  }
  for (const auto &range : state->owed) owed.add(range);
  return owed;
}

ExportName parse_export_name(std::string_view name) {
  constexpr std::string_view prefix = "honest";
  if (name == prefix) return {true, ""};
  if (name.starts_with("honest/")) return {true, std::string(name.substr(prefix.size() + 1))};
  return {false, std::string(name)};
}

std::string honest_name(const std::string &lower) {
  return lower.empty() ? "honest" : "honest/" + lower;
}

}  // namespace delta
