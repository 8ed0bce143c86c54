// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/range_list.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/util/error.hpp"

namespace delta {

namespace {

constexpr std::string_view blanks = " \t\r";

// Takes the first word off the line.
std::string_view next_word(std::string_view &line) {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  std::string_view word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  return word;
}

std::optional<uint64_t> number(std::string_view word) {
  int base = 10;
  if (word.starts_with("0x") || word.starts_with("0X")) {
    word.remove_prefix(2);
    base = 16;
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<extents::Range> read_range_list(std::istream &in, const std::string &origin) {
  std::vector<extents::Range> list;
  std::string text;
  for (uint64_t line = 1; std::getline(in, text); ++line) {
    std::string_view rest = text;
    const std::string_view first = next_word(rest);
    if (first.empty() || first.starts_with('#')) continue;
    const auto offset = number(first), length = number(next_word(rest));
    if (!offset || !length) {
      util::fail(EINVAL,
                 "{}: line {} is not an offset and a length in bytes: \"{}\" (a map is such a "
                 "list, or what "
                 "`nbdinfo --map --json` prints)",
                 origin, line, text.substr(0, 80));
    }
    list.push_back({*offset, *length});
  }
  if (in.bad()) util::fail(EIO, "{}: cannot read the file", origin);
  return list;
}

}  // namespace delta
