// SPDX-License-Identifier: BSD-3-Clause
#include "common/digests/digest_header.hpp"

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/util/error.hpp"

namespace digests {

namespace {

constexpr const char *version_field = "nbdkit-replicate-digests";

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte b : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(b));
  return text;
}

// False if it is not such a text.
bool from_hex(const std::string &text, Key &key) {
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  if (text.size() != 2 * key.size()) return false;
  for (size_t i = 0; i < key.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    key[i] = static_cast<std::byte>(high << 4 | low);
  }
  return true;
}

// A damaged key would make each block look damaged.
std::string check_of(const Key &key) {
  return to_hex(Hasher(key).of_zeroes(block_bytes));
}

}  // namespace

std::string format(const DigestHeader &header) {
  nlohmann::ordered_json fields{
      {version_field, 1},      {"checkpoint", header.checkpoint}, {"size", header.size},
      {"block", block_bytes},  {"complete", header.complete},     {"image", header.image},
      {"since", header.since}, {"key", to_hex(header.key)},       {"zeroes", check_of(header.key)}};
  std::string text = fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() >= header_bytes) {
    util::fail(EINVAL, "the checkpoint is too long for a file of digests ({} bytes)",
               header.checkpoint.size());
  }
  text.resize(header_bytes - 1, ' ');
  return text + "\n";
}

DigestHeader parse_digest_header(std::string_view text, const std::string &path,
                                 std::string_view remedy) {
  constexpr auto largest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  DigestHeader header;
  const auto fields = nlohmann::json::parse(text, nullptr, false);
  try {
    if (fields.is_object() && fields.at(version_field) == 1 && fields.at("block") == block_bytes &&
        fields.at("size").is_number_unsigned() &&
        from_hex(fields.at("key").get<std::string>(), header.key)) {
      header.checkpoint = fields.at("checkpoint").get<std::string>();
      header.size = fields.at("size").get<uint64_t>();
      header.complete = fields.at("complete").get<bool>();
      header.image = fields.value("image", "");
      header.since = fields.value("since", "");
      const std::string check = check_of(header.key);
      if (header.size <= largest && fields.value("zeroes", check) == check) return header;
    }
  } catch (const nlohmann::json::exception &) {
  }
  util::fail(EINVAL, "{}: is not a file of digests, or is damaged: {}", path, remedy);
}

}  // namespace digests
