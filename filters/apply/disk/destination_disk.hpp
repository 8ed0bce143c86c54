// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/extents/extent.hpp"

namespace apply {

// The flags of a request to zero (NBD protocol, NBD_CMD_WRITE_ZEROES).
struct ZeroFlags {
  bool fua = false;
  bool may_trim = false;  // the zeroes may become a hole
  bool fast = false;      // fail with ENOTSUP if zeroing is as slow as writing
};

// Every method returns when the request is done, and throws if it fails. May be used from any
// thread.
class DestinationDisk {
 public:
  virtual ~DestinationDisk() = default;
  virtual uint64_t size() const = 0;  // bytes
  // Of the export; empty if it has none. An image that has an identity tells it here.
  virtual const std::string &description() const = 0;
  // Requests must begin and end at multiples of it. 1: anywhere.
  virtual uint32_t minimum_block() const = 0;
  virtual void read(std::span<std::byte> buffer, uint64_t offset) = 0;
  virtual void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) = 0;
  virtual void zero(extents::Range range, ZeroFlags flags) = 0;
  virtual void flush() = 0;  // does nothing if the layer below has no flush
  // Whether fua is done as a part of the request; if not, a flush must follow.
  virtual bool native_fua() const = 0;
  // Whether a flush covers what was written over any connection.
  virtual bool flush_covers_all() const = 0;
};

}  // namespace apply
