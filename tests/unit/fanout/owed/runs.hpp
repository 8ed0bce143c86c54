// SPDX-License-Identifier: BSD-3-Clause
//
// What a dirty map has, to be compared.
#pragma once

#include <vector>

#include "filters/fanout/owed/dirty_map.hpp"

inline std::vector<fanout::Range> runs(const fanout::DirtyMap &map) {
  std::vector<fanout::Range> list;
  map.for_each([&](fanout::Range r) { list.push_back(r); });
  return list;
}
