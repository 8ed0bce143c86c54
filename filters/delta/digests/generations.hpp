// SPDX-License-Identifier: BSD-3-Clause
//
// The digests of one disk at two points in time: what the destination holds, and what the disk shows now.
#pragma once

#include <optional>
#include <string>

#include "common/digests/digest_file.hpp"
#include "common/util/file_lock.hpp"

namespace delta {

// FILE has the digests of an earlier run, FILE.next those that a run makes. Which of them are those of the
// destination is told by its state alone: apply writes the new checkpoint there after it has read the
// whole map, so after FILE.next was complete and durable. Whatever is killed, one of the two files
// fits the state. Not synchronised.
class Generations {
 public:
  // Takes the lock of FILE, and looks for the digests of `held`, the checkpoint of the destination (empty:
  // none). Those in FILE.next are renamed to FILE. Throws util::Error; EBUSY if another server has the lock.
  Generations(const std::string &path, const std::string &held);

  // Null if there are none of that checkpoint.
  const digests::DigestFile *base() const { return base_ ? &*base_ : nullptr; }
  // The checkpoint of those in FILE, for messages; empty if there are none.
  const std::string &found() const { return found_; }

  // Begins FILE.next, for a disk of `size` bytes at `checkpoint`; with the key of base(), so that the digests
  // can be compared. Throws util::Error.
  digests::DigestFile begin(uint64_t size, const std::string &checkpoint) const;

 private:
  std::string path_;
  util::FileLock lock_;
  std::optional<digests::DigestFile> base_;
  std::string found_;
};

}  // namespace delta
