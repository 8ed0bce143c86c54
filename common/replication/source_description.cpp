// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/source_description.hpp"

#include <nlohmann/json.hpp>

namespace replication {

std::string format(const SourceDescription &d) {
  nlohmann::ordered_json line = {{"nbdkit-replicate", 1}, {"source", d.source}, {"vm", d.vm},
                                 {"disk", d.disk},        {"size", d.size},     {"mode", d.mode}};
  if (!d.since.empty()) line["since"] = d.since;
  line["checkpoint"] = d.checkpoint;
  if (d.confirm_by_connection) line["confirm"] = "connection";
  return line.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

std::optional<SourceDescription> parse_description(std::string_view text) {
  auto line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object() || line.value("nbdkit-replicate", nlohmann::json()) != 1)
    return std::nullopt;

  auto text_of = [&](const char *key) {
    auto it = line.find(key);
    return it != line.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  SourceDescription d;
  d.source = text_of("source");
  d.vm = text_of("vm");
  d.mode = text_of("mode");
  d.since = text_of("since");
  d.checkpoint = text_of("checkpoint");
  d.confirm_by_connection = text_of("confirm") == "connection";
  if (auto it = line.find("disk"); it != line.end() && it->is_number_integer()) {
    d.disk = it->get<int64_t>();
  }
  if (auto it = line.find("size"); it != line.end() && it->is_number_unsigned()) {
    d.size = it->get<uint64_t>();
  }
  return d;
}

}  // namespace replication
