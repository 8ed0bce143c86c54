// SPDX-License-Identifier: BSD-3-Clause
//
// The header extension in which this plugin keeps which image it is, and whether it is complete. Other
// programs ignore it, and QEMU keeps it. Its data (nbdkit-qcow2-plugin(1), "Identity"):
//
//    0 - 15: the UUID
//   16 - 31: the UUID of the backing file when the image was created; zeroes: none
//        32: Completeness
//        33: bytes of the label
//        34: bytes of the checkpoint
//   40 - 47: when the image became complete, in seconds since 1970; 0: it is not
//   48 - ..: the label, the checkpoint, and room for a longer checkpoint
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

// Whether an image is a copy of its disk as of one instant.
enum class Completeness : uint8_t {
  untold = 0,      // nobody has said
  incomplete = 1,  // a copy to it has begun, and was not completed
  complete = 2,    // as of the checkpoint, if there is one
};

struct Identity {
  static constexpr uint32_t extension = 0x4e425249;  // "NBRI"
  static constexpr size_t least = 48;      // bytes of the data, without label and checkpoint
  static constexpr size_t max_label = 64;  // bytes
  static constexpr size_t max_checkpoint = 128;

  Uuid uuid{};
  Uuid parent{};           // zeroes: the image had no backing file, or one without a UUID
  std::string label = {};  // for people: the name of the file when it was created
  Completeness state = Completeness::untold;
  std::string checkpoint = {};  // of the source, cut to the room for it; empty unless complete
  bool cut = false;  // perhaps, as the checkpoint fills that room; known once the data was decoded
  uint64_t completed = 0;  // when it became complete, in seconds since 1970
  bool operator==(const Identity &) const = default;
};

// The data of the extension, `length` bytes (at least Identity::least): the label and the checkpoint are
// cut to what fits. Nothing if it is not that of an identity.
std::vector<std::byte> encode(const Identity &identity, size_t length);
std::optional<Identity> decode_identity(std::span<const std::byte> data);

// 8-4-4-4-12 hexadecimal digits, lower case. Zeroes if the text is not that.
std::string to_text(const Uuid &uuid);
Uuid uuid_from(const std::string &text);

}  // namespace qcow2
