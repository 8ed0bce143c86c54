// SPDX-License-Identifier: BSD-3-Clause
//
// The header extension in which this plugin keeps which image it is. Other programs ignore it, and QEMU
// keeps it. Its data: the UUID (16 bytes), the UUID of the backing file when the image was created (16,
// zeroes: none), the label (the rest).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qcow2 {

using Uuid = std::array<std::byte, 16>;

struct Identity {
  static constexpr uint32_t extension = 0x4e425249;  // "NBRI"
  static constexpr size_t least = 32;                // bytes of the data, without a label
  static constexpr size_t max_label = 64;            // bytes

  Uuid uuid{};
  Uuid parent{};      // zeroes: the image had no backing file, or one without a UUID
  std::string label;  // for people: the name of the file when it was created
  bool operator==(const Identity &) const = default;
};

// The data of the extension. Nothing if it is not that of an identity.
std::vector<std::byte> encode(const Identity &identity);
std::optional<Identity> decode_identity(std::span<const std::byte> data);

// 8-4-4-4-12 hexadecimal digits, lower case. Zeroes if the text is not that.
std::string to_text(const Uuid &uuid);
Uuid uuid_from(const std::string &text);

}  // namespace qcow2
