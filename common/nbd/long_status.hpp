// SPDX-License-Identifier: BSD-3-Clause
//
// Block status of more than 4 GiB at once: servers that have extended headers answer it, and libnbd asks for it since
// 1.18. All that differs between versions of libnbd is here.
#pragma once

#include <libnbd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace nbd {

#ifdef LIBNBD_HAVE_NBD_AIO_BLOCK_STATUS_64

using StatusCallback = nbd_extent64_callback;

inline bool has_long_status(nbd_handle *h) {
  return nbd_get_extended_headers_negotiated(h) == 1;
}

inline int64_t aio_block_status(nbd_handle *h, uint64_t count, uint64_t offset,
                                StatusCallback extents, nbd_completion_callback done) {
  return nbd_aio_block_status_64(h, count, offset, extents, done, 0);
}

// add(length, flags) is called for each entry.
template <typename Add>
void for_each_entry(const nbd_extent *entries, size_t n, Add &&add) {
  for (size_t i = 0; i < n; ++i) {
    add(entries[i].length, static_cast<uint32_t>(std::min<uint64_t>(entries[i].flags, UINT32_MAX)));
  }
}
using StatusEntry = nbd_extent;

#else

using StatusCallback = nbd_extent_callback;

inline bool has_long_status(nbd_handle *) {
  return false;
}

inline int64_t aio_block_status(nbd_handle *h, uint64_t count, uint64_t offset,
                                StatusCallback extents, nbd_completion_callback done) {
  return nbd_aio_block_status(h, count, offset, extents, done, 0);
}

// Pairs of {length, flags}.
template <typename Add>
void for_each_entry(const uint32_t *entries, size_t n, Add &&add) {
  for (size_t i = 0; i + 1 < n; i += 2) add(entries[i], entries[i + 1]);
}
using StatusEntry = uint32_t;

#endif

// How much one request is about. Within 32 bits at first; where more can be asked for, more and more as long as the
// answers are short. (A server may take long to find out what a petabyte with many extents looks like.)
class StatusStep {
 public:
  explicit StatusStep(bool grows) : grows_(grows) {}

  uint64_t bytes() const { return bytes_; }

  // After an answer of so many extents; `whole`: it was about all that was asked.
  void answered(size_t extents, bool whole) {
    if (!grows_) return;
    bytes_ = whole && extents <= few ? std::min(bytes_ * factor, most)
                                     : std::max(bytes_ / factor, first);
  }

 private:
  static constexpr uint64_t first = uint64_t{1} << 30;
  static constexpr uint64_t most = uint64_t{1} << 58;
  static constexpr uint64_t factor = 16;
  static constexpr size_t few = 1024;

  const bool grows_;
  uint64_t bytes_ = first;
};

}  // namespace nbd
