// SPDX-License-Identifier: BSD-3-Clause
//
// Keyed digests of blocks: XXH3 with 128 bits and a secret of our own, so that nobody who knows the disk's
// content can make two blocks of one digest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace digests {

inline constexpr uint64_t block_bytes = 65536;  // the last block of a disk may be shorter

using Digest = std::array<std::byte, 16>;  // XXH128_canonical_t: the same on each machine
using Key = std::array<std::byte, 192>;    // XXH3's secret

// From the kernel. Throws util::Error.
Key random_key();

// Of xxHash: "0.8.1".
std::string library_version();

// Any thread may use it.
class Hasher {
 public:
  explicit Hasher(const Key &key);
  Digest operator()(std::span<const std::byte> block) const;
  // Of so many zeroes, at most block_bytes.
  Digest of_zeroes(size_t bytes) const;

 private:
  Key key_;
  Digest zero_block_;
};

}  // namespace digests
