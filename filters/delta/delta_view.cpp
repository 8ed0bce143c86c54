// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/delta_view.hpp"

#include <algorithm>
#include <utility>

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

void Sectors::feed(extents::Extent extent) {
  if (part_) {
    uint64_t rest = std::min(extent.length, sector - part_->length);
    if (part_->type != extent.type) part_->type = extents::data;
    part_->length += rest;
    extent = {extent.offset + rest, extent.length - rest, extent.type};
    if (part_->length < sector) return;
    add(*std::exchange(part_, std::nullopt));
  }
  uint64_t tail = extent.length % sector;
  if (extent.length > tail) add({extent.offset, extent.length - tail, extent.type});
  if (tail > 0) part_ = extents::Extent{extent.end() - tail, tail, extent.type};
}

void Sectors::end_of_disk() {
  if (part_) add(*std::exchange(part_, std::nullopt));
}

void Sectors::add(const extents::Extent &extent) {
  added_ = true;
  add_(extent);
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
