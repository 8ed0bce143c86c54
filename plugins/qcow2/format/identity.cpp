// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/format/identity.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/qcow2/format/big_endian.hpp"

namespace qcow2 {

namespace {

constexpr char digits[] = "0123456789abcdef";

bool has_dash_before(size_t byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

}  // namespace

std::vector<std::byte> encode(const Identity &identity, size_t length) {
  std::vector<std::byte> data(length);
  std::copy(identity.uuid.begin(), identity.uuid.end(), data.begin());
  std::copy(identity.parent.begin(), identity.parent.end(), data.begin() + 16);
  data[32] = std::byte(identity.state);
  store_be<uint64_t>(&data[40], identity.completed);
  size_t at = Identity::least;
  auto store = [&](const std::string &text, size_t most, size_t length_at) {
    size_t n = std::min({text.size(), most, length - at});
    data[length_at] = std::byte(n);
    std::memcpy(data.data() + at, text.data(), n);
    at += n;
  };
  store(identity.label, Identity::max_label, 33);
  store(identity.checkpoint, Identity::max_checkpoint, 34);
  return data;
}

std::optional<Identity> decode_identity(std::span<const std::byte> data) {
  if (data.size() < Identity::least) return std::nullopt;
  Identity identity;
  std::copy_n(data.begin(), 16, identity.uuid.begin());
  std::copy_n(data.begin() + 16, 16, identity.parent.begin());
  auto state = std::to_integer<uint8_t>(data[32]);
  auto label = std::to_integer<size_t>(data[33]), checkpoint = std::to_integer<size_t>(data[34]);
  bool possible = state <= uint8_t(Completeness::complete) &&
                  label + checkpoint <= data.size() - Identity::least;
  if (identity.uuid == Uuid{} || !possible) return std::nullopt;
  identity.state = Completeness(state);
  identity.completed = load_be<uint64_t>(&data[40]);
  const char *text = reinterpret_cast<const char *>(data.data()) + Identity::least;
  identity.label.assign(text, label);
  identity.checkpoint.assign(text + label, checkpoint);
  identity.cut =
      checkpoint == std::min(data.size() - Identity::least - label, Identity::max_checkpoint);
  return identity;
}

std::string to_text(const Uuid &uuid) {
  std::string text;
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (has_dash_before(i)) text += '-';
    text += digits[std::to_integer<unsigned>(uuid[i] >> 4)];
    text += digits[std::to_integer<unsigned>(uuid[i] & std::byte{15})];
  }
  return text;
}

Uuid uuid_from(const std::string &text) {
  Uuid uuid{};
  std::string hex = text;
  std::erase(hex, '-');
  if (hex.size() != 32) return {};
  for (size_t i = 0; i < hex.size(); ++i) {
    const char *digit = std::find(digits, digits + 16, hex[i]);
    if (digit == digits + 16) return {};
    uuid[i / 2] = uuid[i / 2] << 4 | std::byte(digit - digits);
  }
  return uuid;
}

}  // namespace qcow2
