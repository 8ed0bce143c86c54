// SPDX-License-Identifier: BSD-3-Clause
#include "common/extents/map_json.hpp"

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "common/util/error.hpp"

namespace extents {

namespace {

[[noreturn]] void refuse(const std::string &origin, const std::string &why) {
  util::fail(
      EINVAL,
      "{} is not a map as `nbdinfo --map --json` prints it: {}; make it anew with that command",
      origin, why);
}

uint64_t number(const nlohmann::json &entry, const char *key, const std::string &origin) {
  auto it = entry.find(key);
  if (it == entry.end() || !it->is_number_unsigned()) {
    refuse(origin, std::string("an entry has no number \"") + key + "\"");
  }
  return it->get<uint64_t>();
}

}  // namespace

ExtentMap parse_map(std::string_view text, const std::string &origin) {
  auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_array()) refuse(origin, "it is not a JSON array");

  std::vector<Extent> list;
  list.reserve(document.size());
  uint64_t end = 0;
  for (const auto &entry : document) {
    if (!entry.is_object()) refuse(origin, "an entry is not an object");
    Extent e{number(entry, "offset", origin), number(entry, "length", origin), 0};
    uint64_t type = number(entry, "type", origin);
    if (e.offset != end) {
      refuse(origin, fmt::format("the entry at {} should be at {}", e.offset, end));
    }
    if (e.length > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - end) {
      refuse(origin, "its lengths add up to more than 2^63");
    }
    e.type = static_cast<Type>(type & (hole | zero));
    end = e.end();
    list.push_back(e);
  }

  ExtentMap map(end);
  for (const Extent &e : list) map.set(e.range(), e.type);
  return map;
}

std::string format_map(const ExtentMap &map) {
  std::string out = "[\n";
  bool first = true;
  map.for_each({0, map.size()}, [&](const Extent &e) {
    static constexpr const char *names[] = {"data", "hole", "zero", "hole,zero"};
    out +=
        fmt::format("{}{{ \"offset\": {}, \"length\": {}, \"type\": {}, \"description\": \"{}\" }}",
                    first ? "" : ",\n", e.offset, e.length, e.type, names[e.type & 3]);
    first = false;
    return true;
  });
  return out + "\n]\n";
}

}  // namespace extents
