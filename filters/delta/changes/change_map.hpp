// SPDX-License-Identifier: BSD-3-Clause
//
// What has changed on a disk, according to a map from elsewhere (delta-map=).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/extents/frozen_map.hpp"

namespace delta {

// Made by one thread; then any number of threads may read it.
class ChangeMap {
 public:
  enum : extents::Type { unchanged = 0, changed = 1 };

  ChangeMap() : map_(counted) {}
  // A map of a whole disk, from its beginning to its end.
  void append(uint64_t length, bool has_changed) {
    map_.append(length, has_changed ? changed : unchanged);
    disk_size_ = map_.size();
  }
  // A list of what has changed, which does not tell the size of the disk. In any order, and they may
  // overlap. Throws util::Error EINVAL if one ends beyond 2^63.
  static ChangeMap of_list(std::vector<extents::Range> list, const std::string &origin);

  uint64_t changed_bytes() const { return map_.counted_bytes(); }

  // Throws util::Error EINVAL if the map is not of a disk of so many bytes. `origin` is "KEY=VALUE" of the
  // parameter that named the map.
  void check_size(uint64_t disk_bytes, const std::string &origin) const;

  // Up to where, within the range, nothing has changed; range.offset if its first byte has.
  uint64_t unchanged_until(extents::Range range) const;

  // Calls add(range, has_changed) for the parts of `range`, in order. What lies beyond a list has not
  // changed.
  void split(extents::Range range,
             const std::function<void(const extents::Range &, bool has_changed)> &add) const;

 private:
  static constexpr uint32_t counted = 1u << changed;
  extents::FrozenMap map_;
  std::optional<uint64_t> disk_size_;  // bytes; nothing: the map does not tell
};

}  // namespace delta
