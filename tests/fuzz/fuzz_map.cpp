// SPDX-License-Identifier: BSD-3-Clause
//
// JSON of unknown origin: maps, state files, export descriptions.
#include "common/extents/map_json.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_json.hpp"
#include "common/util/error.hpp"
#include "tests/fuzz/fuzz.hpp"

using replication::parse_description;
using replication::parse_state;

namespace {

void map_survives(const std::string &text) {
  auto map = extents::parse_map(text, "fuzz");
  auto again = extents::parse_map(extents::format_map(map), "again");
  fuzz::require(again.slice({0, again.size()}) == map.slice({0, map.size()}));
}

void state_survives(const std::string &text) {
  auto state = parse_state(text, "fuzz");
  auto again = parse_state(replication::format(state), "again");
  fuzz::require(again.owed == state.owed && again.size == state.size);
  fuzz::require(state.owed_bytes() <= state.size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::may_refuse([&] { map_survives(text); });
  fuzz::may_refuse([&] { state_survives(text); });
  if (auto description = parse_description(text)) replication::format(*description);
  return 0;
}
