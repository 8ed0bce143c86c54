// SPDX-License-Identifier: BSD-3-Clause
//
// What the flags of a metadata context say of "has changed".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/extents/extent.hpp"

namespace delta {

enum class Context {
  dirty_bitmap,      // qemu:dirty-bitmap:NAME: bit 0 is "dirty"
  allocation,        // base:allocation, of honest extents: what is not a hole alone has changed
  allocation_depth,  // qemu:allocation-depth: 1 is "in this layer"
};

// Nothing if it is none of these.
std::optional<Context> context_of(std::string_view name);

// The same from the description that `nbdinfo --map --json` gives an extent ("dirty", "hole,zero").
std::optional<Context> context_of_description(std::string_view description);

// The NAME of qemu:dirty-bitmap:NAME; empty for other contexts.
std::string bitmap_name(std::string_view context);

}  // namespace delta
