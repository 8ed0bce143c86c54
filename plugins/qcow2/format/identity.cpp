// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/format/identity.hpp"

#include <algorithm>
#include <cstring>

namespace qcow2 {

namespace {

constexpr char digits[] = "0123456789abcdef";

bool has_dash_before(size_t byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

}  // namespace

std::vector<std::byte> encode(const Identity &identity) {
  std::vector<std::byte> data(Identity::least + identity.label.size());
  std::copy(identity.uuid.begin(), identity.uuid.end(), data.begin());
  std::copy(identity.parent.begin(), identity.parent.end(), data.begin() + 16);
  std::memcpy(data.data() + Identity::least, identity.label.data(), identity.label.size());
  return data;
}

std::optional<Identity> decode_identity(std::span<const std::byte> data) {
  if (data.size() < Identity::least) return std::nullopt;
  Identity identity;
  std::copy_n(data.begin(), 16, identity.uuid.begin());
  std::copy_n(data.begin() + 16, 16, identity.parent.begin());
  data = data.subspan(Identity::least);
  identity.label.assign(reinterpret_cast<const char *>(data.data()),
                        std::min(data.size(), Identity::max_label));
  if (identity.uuid == Uuid{}) return std::nullopt;
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
