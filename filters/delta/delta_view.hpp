// SPDX-License-Identifier: BSD-3-Clause
//
// The delta view: honest extents turned into those that no client can misread
// (nbdkit-replicate-delta(7)).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/extents/extent.hpp"
#include "common/extents/range_set.hpp"

namespace delta {

// How what has become zero is shown: as NBD_STATE_ZERO, or as data for clients that take a zero
// extent for one they may skip (nbdcopy --destination-is-zero without the apply filter).
enum class Zeroes { zero, data };

// What the view says where the layer below says `honest`. `owed`: an unfinished run still owes it.
extents::Type view_type(extents::Type honest, bool owed, Zeroes zeroes);

// Turns one honest extent into the view's, split where what is owed begins or ends.
void show(const extents::Extent &honest, const extents::RangeSet &owed, Zeroes zeroes,
          const std::function<void(const extents::Extent &)> &add);

// Lets extents, honest ones too, change only where a sector begins: clients that work in sectors (qemu-img) take the
// first byte's type for all of a sector. One that is of two types is data, which is never wrong,
// for reads return the disk's bytes. Fed with extents that follow each other from a multiple of
// `sector`.
class Sectors {
 public:
  static constexpr uint64_t sector = 512;  // bytes

  explicit Sectors(std::function<void(const extents::Extent &)> add) : add_(std::move(add)) {}
  void feed(extents::Extent extent);
  void end_of_disk();                     // the last sector may be a part of one
  bool empty() const { return !added_; }  // nothing has been added yet

 private:
  void add(const extents::Extent &extent);
  std::function<void(const extents::Extent &)> add_;
  std::optional<extents::Extent> part_;  // of a sector whose end has not been seen
  bool added_ = false;
};

// The export of the layer below that an export name means: the view of NAME is called NAME, its
// honest extents are "honest/NAME"; "honest" alone is the default export.
struct ExportName {
  bool honest;
  std::string lower;
};
ExportName parse_export_name(std::string_view name);
std::string honest_name(const std::string &lower);

}  // namespace delta
