// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/context.hpp"

namespace delta {

namespace {

constexpr std::string_view bitmap_prefix = "qemu:dirty-bitmap:";

}  // namespace

std::optional<Context> context_of(std::string_view name) {
  if (name.starts_with(bitmap_prefix)) return Context::dirty_bitmap;
  if (name == "base:allocation") return Context::allocation;
  if (name == "qemu:allocation-depth") return Context::allocation_depth;
  return std::nullopt;
}

std::optional<Context> context_of_description(std::string_view description) {
  if (description == "dirty" || description == "clean") return Context::dirty_bitmap;
  if (description == "unallocated" || description == "local" ||
      description.starts_with("backing depth")) {
    return Context::allocation_depth;
  }
  if (description == "data" || description == "hole" || description == "zero" ||
      description == "hole,zero") {
    return Context::allocation;
  }
  return std::nullopt;
}

std::string bitmap_name(std::string_view context) {
  if (!context.starts_with(bitmap_prefix)) return {};
  return std::string(context.substr(bitmap_prefix.size()));
}

}  // namespace delta
