// SPDX-License-Identifier: BSD-3-Clause
//
// A file with the digests of all blocks of a disk: a header, then 16 bytes for each block.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/digests/digest_header.hpp"
#include "common/util/fd.hpp"

namespace digests {

// Any number of threads may read and write digests of different blocks.
class DigestFile {
 public:
  // Nothing if there is no such file. Throws util::Error; EINVAL if it is damaged: `remedy` is what the message
  // says to do then.
  static std::optional<DigestFile> open(const std::string &path, std::string_view remedy);

  // A new file, in place of one of that name, which says that it is not complete. Throws util::Error.
  static DigestFile create(const std::string &path, const DigestHeader &header);

  const DigestHeader &header() const { return header_; }

  // Of the blocks from `first` on. Throw util::Error.
  void read(uint64_t first, std::span<Digest> digests) const;
  void write(uint64_t first, std::span<const Digest> digests);

  // Durably: whatever becomes of this run, a block differs from what the disk showed at `since` only if its bit (the
  // lowest of a byte first) is set. It is kept behind the digests until complete(). Throws util::Error.
  void set_changed(const std::string &since, std::span<const std::byte> changed);
  // Those bits, for blocks(). header().since must not be empty. Throws util::Error.
  std::vector<std::byte> changed() const;

  // Durably: all digests have been written. In this order: the digests, the header that says so, the name
  // of the file. Throws util::Error.
  void complete();
  // Durably: it is not complete, as after create(). Throws util::Error.
  void reopen();

 private:
  DigestFile(std::string path, util::Fd fd, DigestHeader header);
  void write_header(bool complete);
  void sync() const;

  std::string path_;
  util::Fd fd_;
  DigestHeader header_;
};

}  // namespace digests
