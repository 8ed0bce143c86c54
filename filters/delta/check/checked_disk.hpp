// SPDX-License-Identifier: BSD-3-Clause
//
// A disk whose bytes are compared with digests of what was written (delta-check=).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "common/digests/digest_file.hpp"
#include "common/extents/extent.hpp"
#include "filters/delta/changes/source_disk.hpp"

namespace delta {

// Any number of threads.
class CheckedDisk {
 public:
  // Opens the file of digests. Throws util::Error: ENOENT if there is none, EINVAL if it is damaged or was not
  // completed.
  explicit CheckedDisk(std::string path);

  // size and description: of the layer below. Throws util::Error EINVAL if the digests are of another disk, another
  // image or another checkpoint, as far as the description says.
  void check_belongs(uint64_t size, const std::string &description) const;

  // Reads whole blocks of the layer below. Throws util::Error EIO, naming the offset of the first block, if one is
  // not what was written; nothing of the buffer is to be used then.
  void read(SourceDisk &disk, std::span<std::byte> buffer, uint64_t offset) const;

  // Calls add for an extent of the layer below, in parts. A block that it calls zero, and the digests do not, is
  // shown as data, so that a client reads it; so is a block that is zero only in part.
  void show(const extents::Extent &extent,
            const std::function<void(const extents::Extent &)> &add) const;

 private:
  extents::Range block_at(uint64_t offset) const;
  void compare(std::span<const std::byte> blocks, uint64_t offset) const;

  const std::string path_;
  const digests::DigestFile file_;
  const digests::Hasher hasher_;
};

}  // namespace delta
