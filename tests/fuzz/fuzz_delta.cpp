// SPDX-License-Identifier: BSD-3-Clause
//
// What the delta filter reads of unknown origin: lists of what has changed, and heads of files of digests.
#include <sstream>

#include "common/digests/digest_header.hpp"
#include "common/util/error.hpp"
#include "filters/delta/changes/change_map.hpp"
#include "filters/delta/changes/range_list.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

void list_survives(const std::string &text) {
  std::istringstream in(text);
  auto map = delta::ChangeMap::of_list(delta::read_range_list(in, "fuzz"), "fuzz");
  uint64_t at = 0, changed = 0;
  map.split({0, INT64_MAX}, [&](const extents::Range &part, bool has_changed) {
    fuzz::require(part.offset == at && part.length > 0);
    at = part.end();
    if (has_changed) changed += part.length;
  });
  fuzz::require(at == INT64_MAX && changed == map.changed_bytes());
}

void header_survives(const std::string &text) {
  auto header = digests::parse_digest_header(text, "fuzz", "");
  auto again = digests::parse_digest_header(digests::format(header), "again", "");
  fuzz::require(again.size == header.size && again.key == header.key &&
                again.complete == header.complete && again.image == header.image);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::may_refuse([&] { list_survives(text); });
  fuzz::may_refuse([&] { header_survives(text); });
  return 0;
}
