// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "common/extents/extent.hpp"

namespace pull {

// Who waits for the source.
enum class Waiting { client, background };

// The source. May be used from any thread.
class RemoteDisk {
 public:
  virtual ~RemoteDisk() = default;
  // The range need not keep to the server's blocks. Throws util::Error: EINTR after interrupt(), ESTALE if the source
  // is not the one that was there at the start, else the reason: when the retries are used up, and at once while the
  // source is given up.
  virtual void read(std::span<std::byte> buffer, uint64_t offset, Waiting waiting) = 0;
  // Calls add(extent) for all from `from` on, in order. Waits until the source is there. Throws the same; what was added
  // stays so.
  virtual void read_map(uint64_t from, const std::function<void(const extents::Extent &)> &add) = 0;
  // Makes further connections to a source that is connected to, if nobody has begun to. For who has no chunk, as it may take
  // long. Throws EINTR.
  virtual void add_connections() = 0;
  // Confirms all that was read before the call, where the source can say so. Throws the same.
  virtual void confirm() = 0;
  // The retries are used up, and nobody has found the source to be there again: that takes connect_again().
  virtual bool is_given_up() const = 0;
  // Waits until the source is there. Throws EINTR and ESTALE as read() does.
  virtual void connect_again() = 0;
  // Ends all waits: they throw EINTR from now on.
  virtual void interrupt() = 0;
  // The source is needed no more.
  virtual void close() = 0;
};

}  // namespace pull
