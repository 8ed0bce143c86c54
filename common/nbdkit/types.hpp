// SPDX-License-Identifier: BSD-3-Clause
//
// Types that plugins and filters share: capabilities, and the lists of extents and exports.
#pragma once

#include <nbdkit-common.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "common/extents/extent.hpp"
#include "common/nbdkit/error.hpp"

namespace nbdkit {

enum class Fua { none = NBDKIT_FUA_NONE, emulate = NBDKIT_FUA_EMULATE, native = NBDKIT_FUA_NATIVE };
enum class Cache {
  none = NBDKIT_CACHE_NONE,
  emulate = NBDKIT_CACHE_EMULATE,
  native = NBDKIT_CACHE_NATIVE
};

// Sizes in bytes; preferred is a power of two from 512 to 32 MiB (or all three are 0: no opinion).
struct BlockSize {
  uint32_t minimum = 0;
  uint32_t preferred = 0;
  uint32_t maximum = 0;
};

// The answer to an .extents call. Extents are added in order; each is clipped to what was asked for,
// since nbdkit 1.32 aborts on one beyond it (CVE-2025-47711).
class ExtentList {
 public:
  ExtentList(nbdkit_extents *list, uint64_t offset, uint32_t count)
      : list_(list), asked_{offset, count} {}

  void add(const extents::Extent &extent) {
    extents::Range part = extents::intersect(extent.range(), asked_);
    if (part.empty()) return;
    if (nbdkit_add_extent(list_, part.offset, part.length, extent.type) < 0) throw Reported{EIO};
  }

 private:
  nbdkit_extents *list_;
  extents::Range asked_;
};

class ExportList {
 public:
  explicit ExportList(nbdkit_exports *list) : list_(list) {}

  void add(const std::string &name, const std::string &description = "") {
    if (nbdkit_add_export(list_, name.c_str(),
                          description.empty() ? nullptr : description.c_str()) < 0) {
      throw Reported{EIO};
    }
  }

 private:
  nbdkit_exports *list_;
};

}  // namespace nbdkit
