// SPDX-License-Identifier: BSD-3-Clause
//
// The head of a file of digests: one line of JSON, filled up with blanks to header_bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/digests/digest.hpp"

namespace digests {

inline constexpr size_t header_bytes = 8192;

struct DigestHeader {
  uint64_t size = 0;       // of the disk, in bytes
  std::string checkpoint;  // what the disk showed
  Key key{};
  bool complete = false;   // every block's digest is there
  std::string image = {};  // UUID of the image that holds the disk; empty: none
  std::string since = {};  // see DigestFile::set_changed()

  uint64_t blocks() const { return (size + block_bytes - 1) / block_bytes; }
  // Of a complete one.
  uint64_t file_bytes() const { return header_bytes + blocks() * sizeof(Digest); }
};

// header_bytes long. Throws util::Error EINVAL if the checkpoint is too long.
std::string format(const DigestHeader &header);

// `path` and `remedy`, what to do, are for the message. Throws util::Error EINVAL if it is not such a header.
DigestHeader parse_digest_header(std::string_view text, const std::string &path,
                                 std::string_view remedy);

}  // namespace digests
