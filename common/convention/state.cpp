// SPDX-License-Identifier: BSD-3-Clause
#include "common/convention/state.hpp"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <numeric>

#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace convention {

namespace {

[[noreturn]] void refuse(const std::string &origin, const char *why) {
  util::fail(EINVAL, "{} is not a usable state file ({}): remove it to start with a full copy",
             origin, why);
}

}  // namespace

uint64_t State::owed_bytes() const {
  return std::accumulate(owed.begin(), owed.end(), uint64_t{0},
                         [](uint64_t sum, const extents::Range &r) { return sum + r.length; });
}

std::optional<State> load_state(const std::string &path) {
  auto text = util::read_file(path);
  if (!text) return std::nullopt;
  return parse_state(*text, path);
}

void save_state(const std::string &path, const State &state) {
  util::replace_file(path, format(state));
}

void check_belongs(const State &state, const std::optional<Description> &source, uint64_t size,
                   const std::string &parameter) {
  static constexpr const char *what_next =
      "give the destination's own state file, or remove it to start with a full copy";
  if (state.size != size) {
    util::fail(EINVAL, "{}: that state is of a disk of {} bytes, the source has {}; {}", parameter,
               state.size, size, what_next);
  }
  if (!source) return;
  bool known = !state.source.empty();  // an earlier source may not have said what it is
  if (known &&
      (source->source != state.source || source->vm != state.vm || source->disk != state.disk)) {
    util::fail(EINVAL, "{}: that state is of {} {} disk {}, the source is {} {} disk {}; {}",
               parameter, state.source, state.vm, state.disk, source->source, source->vm,
               source->disk, what_next);
  }
  // A run that was interrupted has the source's own checkpoint already.
  if (source->mode == "delta" && source->since != state.checkpoint &&
      (state.checkpoint.empty() || source->checkpoint != state.checkpoint)) {
    util::fail(EINVAL,
               "{}: the source shows what has changed since \"{}\", but the destination holds "
               "\"{}\"; start the source with since=@ and this state file",
               parameter, source->since, state.checkpoint);
  }
}

std::string format(const State &s) {
  nlohmann::ordered_json document = {{"nbdkit-replicate", 1}, {"checkpoint", s.checkpoint},
                                     {"source", s.source},    {"vm", s.vm},
                                     {"disk", s.disk},        {"size", s.size}};
  auto &owed = document["owed"] = nlohmann::ordered_json::array();
  for (const auto &range : s.owed) owed.push_back({range.offset, range.length});
  return document.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

State parse_state(const std::string &text, const std::string &origin) {
  auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) refuse(origin, "it is not a JSON object");
  if (document.value("nbdkit-replicate", nlohmann::json()) != 1) {
    refuse(origin, "\"nbdkit-replicate\" is not 1");
  }
  auto field = [&](const char *key) -> const nlohmann::json & {
    auto it = document.find(key);
    if (it == document.end()) refuse(origin, "a field is missing");
    return *it;
  };
  auto text_of = [&](const char *key) {
    if (!field(key).is_string()) refuse(origin, "a field that must be text is not");
    return field(key).get<std::string>();
  };

  State s;
  s.checkpoint = text_of("checkpoint");
  s.source = text_of("source");
  s.vm = text_of("vm");
  if (!field("disk").is_number_integer()) refuse(origin, "\"disk\" is not a number");
  s.disk = field("disk").get<int64_t>();
  if (!field("size").is_number_unsigned()) refuse(origin, "\"size\" is not a number");
  s.size = field("size").get<uint64_t>();
  if (!field("owed").is_array()) refuse(origin, "\"owed\" is not an array");
  uint64_t end = 0;
  for (const auto &pair : field("owed")) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned() ||
        !pair[1].is_number_unsigned()) {
      refuse(origin, "\"owed\" holds something that is not [offset, length]");
    }
    extents::Range range{pair[0].get<uint64_t>(), pair[1].get<uint64_t>()};
    if (range.offset < end || range.offset > s.size || range.length > s.size - range.offset) {
      refuse(origin, "\"owed\" is unsorted, overlaps or lies beyond the disk");
    }
    end = range.end();
    s.owed.push_back(range);
  }
  return s;
}

}  // namespace convention
