// SPDX-License-Identifier: BSD-3-Clause
//
// Each export of the layer below has two names here: its own for the delta view, and "honest/NAME"
// ("honest" for the default export) for its honest extents.
#pragma once

#include <string>
#include <string_view>

namespace delta {

struct ExportName {
  bool honest;
  std::string lower;  // the name in the layer below
};
ExportName parse_export_name(std::string_view name);
std::string honest_name(const std::string &lower);

}  // namespace delta
