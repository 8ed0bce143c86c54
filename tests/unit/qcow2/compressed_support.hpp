// SPDX-License-Identifier: BSD-3-Clause
//
// For tests of images that are written compressed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "tests/unit/qcow2/support.hpp"

namespace qcow2::test {

using Bytes = std::vector<std::byte>;

inline std::unique_ptr<Image> open_compressed(const std::string &path, uint64_t size,
                                              uint64_t cluster_size, CompressionType type,
                                              int level = 1, const std::string &base = "") {
  Settings settings;
  settings.path = path;
  settings.compression = Compression{type, level};
  settings.l2_cache_bytes = 1;  // so that it is always full
  settings.follow_backing = base.empty();
  if (size > 0) {
    settings.size = size;
    settings.cluster_size = cluster_size;
  }
  if (!base.empty()) {
    settings.backing = base;
    settings.backing_format = "raw";
  }
  return open_image(settings, util::Log());
}

// Bytes from a supply: making them one by one would take most of the time, above all with
// sanitizers.
inline Bytes from(const Bytes &supply, size_t n, uint64_t seed) {
  Bytes bytes(n);
  size_t at = seed % supply.size();
  for (size_t done = 0; done < n; at = 0) {
    size_t piece = std::min(n - done, supply.size() - at);
    std::copy_n(supply.begin() + static_cast<std::ptrdiff_t>(at), piece,
                bytes.begin() + static_cast<std::ptrdiff_t>(done));
    done += piece;
  }
  return bytes;
}

inline Bytes noise(size_t n, uint64_t seed) {
  static const Bytes supply = random_bytes(1000003, 1);
  return from(supply, n, seed);
}

// Compresses to about a half.
inline Bytes text(size_t n, uint64_t seed) {
  static const Bytes supply = [] {
    Bytes bytes = random_bytes(1000003, 2);
    make_letters(bytes, 16);
    return bytes;
  }();
  return from(supply, n, seed);
}

// The entries of an image, by kind.
struct Counts {
  uint64_t data = 0, compressed = 0, zero = 0;
};
inline Counts count(const std::string &path) {
  Settings settings;
  settings.path = path;
  settings.follow_backing = true;
  settings.lock = false;
  auto reader = open_read_only(settings);
  const Layer &layer = *reader;
  Counts counts;
  for (uint64_t c = 0; c < layer.geometry.clusters(); ++c) {
    Entry entry = layer.map.entry(c);
    if (is_data(entry)) ++counts.data;
    if (is_compressed(entry)) ++counts.compressed;
    if (reads_zero(entry)) ++counts.zero;
  }
  return counts;
}

}  // namespace qcow2::test
