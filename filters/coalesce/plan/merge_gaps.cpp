// SPDX-License-Identifier: BSD-3-Clause
#include "filters/coalesce/plan/merge_gaps.hpp"

namespace coalesce {

std::vector<extents::Extent> merge_gaps(std::span<const extents::Extent> extents, uint64_t gap) {
  std::vector<extents::Extent> list;
  for (const auto &e : extents) {
    size_t n = list.size();
    bool closes_gap = n >= 2 && e.type == extents::data && list[n - 2].type == extents::data &&
                      list[n - 1].length <= gap;
    if (closes_gap) {
      list.pop_back();
      list.back().length = e.end() - list.back().offset;
    } else if (n >= 1 && list.back().type == e.type) {
      list.back().length += e.length;
    } else {
      list.push_back(e);
    }
  }
  return list;
}

}  // namespace coalesce
