// SPDX-License-Identifier: BSD-3-Clause
#include "common/digests/digest.hpp"

#include <fmt/core.h>
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "common/util/random.hpp"

namespace digests {

static_assert(std::tuple_size_v<Key> >= XXH3_SECRET_SIZE_MIN);
static_assert(sizeof(XXH128_canonical_t) == std::tuple_size_v<Digest>);

Key random_key() {
  Key key;
  util::fill_random(key);
  return key;
}

std::string library_version() {
  const unsigned v = XXH_versionNumber();
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

Hasher::Hasher(const Key &key) : key_(key) {
  const std::vector<std::byte> zeroes(block_bytes);
  zero_block_ = (*this)(zeroes);
}

Digest Hasher::operator()(std::span<const std::byte> block) const {
  const XXH128_hash_t hash =
      XXH3_128bits_withSecret(block.data(), block.size(), key_.data(), key_.size());
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  Digest digest;
  std::memcpy(digest.data(), &canonical, digest.size());
  return digest;
}

Digest Hasher::of_zeroes(size_t bytes) const {
  if (bytes == block_bytes) return zero_block_;
  const std::vector<std::byte> zeroes(bytes);
  return (*this)(zeroes);
}

}  // namespace digests
