// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/export_name.hpp"

namespace delta {

ExportName parse_export_name(std::string_view name) {
  constexpr std::string_view prefix = "honest/";
  if (name == "honest") return {true, ""};
  if (name.starts_with(prefix)) return {true, std::string(name.substr(prefix.size()))};
  return {false, std::string(name)};
}

std::string honest_name(const std::string &lower) {
  return lower.empty() ? "honest" : "honest/" + lower;
}

}  // namespace delta
