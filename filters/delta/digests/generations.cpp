// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/digests/generations.hpp"

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace delta {

namespace {

constexpr const char *remedy = "remove it to compare nothing and copy the whole disk";

util::FileLock lock_digests(const std::string &path) {
  auto lock = util::FileLock::try_lock(path);
  if (!lock) {
    util::fail(EBUSY, "delta-digests={}: another server is using this file", path);
  }
  return *std::move(lock);
}

std::string next_of(const std::string &path) {
  return path + ".next";
}

// One that was not finished is of no use, whatever it has in it.
std::optional<digests::DigestFile> open_next(const std::string &path) {
  try {
    auto file = digests::DigestFile::open(path, remedy);
    if (file && file->header().complete) return file;
  } catch (const util::Error &e) {
    if (e.errnum() != EINVAL) throw;
  }
  return std::nullopt;
}

}  // namespace

Generations::Generations(const std::string &path, const std::string &held)
    : path_(util::resolve_links(path)), lock_(lock_digests(path_)) {
  if (held.empty()) return;
  if (auto next = open_next(next_of(path_)); next && next->header().checkpoint == held) {
    durability::rename_file(next_of(path_), path_, true);
  }
  auto file = digests::DigestFile::open(path_, remedy);
  if (!file) return;
  found_ = file->header().checkpoint;
  if (found_ == held && file->header().complete) base_ = std::move(file);
}

digests::DigestFile Generations::begin(uint64_t size, const std::string &checkpoint) const {
  return digests::DigestFile::create(
      next_of(path_),
      {size, checkpoint, base_ ? base_->header().key : digests::random_key(), false});
}

}  // namespace delta
