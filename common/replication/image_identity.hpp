// SPDX-License-Identifier: BSD-3-Clause
//
// The export description by which a destination says which image it is: one line of JSON. The qcow2 plugin
// writes it, the apply filter reads it (nbdkit-replicate-delta(7)).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace replication {

struct ImageIdentity {
  std::string uuid;                // of the image, as text: 8-4-4-4-12 hexadecimal digits
  std::vector<std::string> below;  // UUIDs of its backing chain, the nearest first, as far as known

  // Whether it is a complete copy, and of which checkpoint. Nothing: nobody has said.
  std::optional<bool> complete = {};
  std::string checkpoint = {};  // empty if it is not complete, or has none
  bool cut = false;             // the checkpoint is perhaps only the beginning of one

  // Any flush makes it a complete image under its final name (seal=on of qcow2). JSON: "seal":"flush".
  bool sealed_by_flush = false;

  // The image is that one, or lies over it.
  bool is_or_lies_over(std::string_view other) const;
  // The checkpoint that it has is that one, as far as it can tell.
  bool is_of(std::string_view other) const;
};

std::string format(const ImageIdentity &identity);

// Nothing if the text is not such a line.
std::optional<ImageIdentity> parse_image_identity(std::string_view text);

}  // namespace replication
