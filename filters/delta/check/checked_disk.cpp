// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/check/checked_disk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"

namespace delta {

using digests::block_bytes;
using digests::Digest;
using extents::Extent;
using extents::Range;

namespace {

constexpr size_t at_once = 1024;  // digests

digests::DigestFile open_complete(const std::string &path) {
  auto file = digests::DigestFile::open(path, "nothing can be checked by it");
  if (!file) util::fail(ENOENT, "delta-check={}: there is no such file", path);
  if (!file->header().complete) {
    util::fail(EINVAL, "delta-check={}: the digests are those of a run that was not finished",
               path);
  }
  return *std::move(file);
}

}  // namespace

CheckedDisk::CheckedDisk(std::string path)
    : path_(std::move(path)), file_(open_complete(path_)), hasher_(file_.header().key) {}

void CheckedDisk::check_belongs(uint64_t size, const std::string &description) const {
  const digests::DigestHeader &header = file_.header();
  if (header.size != size) {
    util::fail(EINVAL, "delta-check={}: the digests are of a disk of {} bytes, and this one has {}",
               path_, header.size, size);
  }
  const auto image = replication::parse_image_identity(description);
  if (!image) return;
  if (image->complete == false) {
    util::fail(EINVAL,
               "delta-check={}: the image says that it is not complete, and the digests are of a "
               "complete one",
               path_);
  }
  if (!image->checkpoint.empty()) {
    if (image->is_of(header.checkpoint)) return;
    util::fail(EINVAL,
               "delta-check={}: the digests are of \"{}\", and the image says that it is complete "
               "as of \"{}\"",
               path_, header.checkpoint, image->checkpoint);
  }
  if (!header.image.empty() && header.image != image->uuid) {
    util::fail(EINVAL, "delta-check={}: the digests are of the image {}, and this is {}", path_,
               header.image, image->uuid);
  }
}

Range CheckedDisk::block_at(uint64_t offset) const {
  const uint64_t start = offset / block_bytes * block_bytes;
  return {start, std::min(block_bytes, file_.header().size - start)};
}

void CheckedDisk::read(SourceDisk &disk, std::span<std::byte> buffer, uint64_t offset) const {
  const uint64_t end = offset + buffer.size();
  const uint64_t whole_end = end == file_.header().size ? end : end / block_bytes * block_bytes;
  std::vector<std::byte> one;
  for (uint64_t at = offset; at < end;) {
    if (at % block_bytes == 0 && at < whole_end) {
      const auto blocks = buffer.subspan(at - offset, whole_end - at);
      disk.read(blocks, at);
      compare(blocks, at);
      at = whole_end;
      continue;
    }
    const Range block = block_at(at);
    one.resize(block.length);
    disk.read(one, block.offset);
    compare(one, block.offset);
    const uint64_t stop = std::min(block.end(), end);
    std::copy_n(one.begin() + static_cast<ptrdiff_t>(at - block.offset), stop - at,
                buffer.begin() + static_cast<ptrdiff_t>(at - offset));
    at = stop;
  }
}

void CheckedDisk::compare(std::span<const std::byte> blocks, uint64_t offset) const {
  std::array<Digest, at_once> written;
  while (!blocks.empty()) {
    const size_t n = std::min<size_t>(at_once, (blocks.size() + block_bytes - 1) / block_bytes);
    file_.read(offset / block_bytes, std::span(written).first(n));
    for (size_t i = 0; i < n; ++i) {
      const auto block = blocks.first(std::min<size_t>(block_bytes, blocks.size()));
      if (hasher_(block) != written[i]) {
        util::fail(EIO,
                   "the block of {} bytes at offset {} is not what was written: the image is "
                   "damaged or a layer of its chain was replaced (or the digests are not its own: "
                   "delta-check={})",
                   block.size(), offset, path_);
      }
      blocks = blocks.subspan(block.size());
      offset += block.size();
    }
  }
}

void CheckedDisk::show(const Extent &extent, const std::function<void(const Extent &)> &add) const {
  if ((extent.type & extents::zero) == 0) return add(extent);
  const uint64_t size = file_.header().size;
  const uint64_t begin = (extent.offset + block_bytes - 1) / block_bytes * block_bytes;
  const uint64_t end = extent.end() == size ? size : extent.end() / block_bytes * block_bytes;
  if (begin >= end) return add({extent.offset, extent.length, extents::data});

  Extent run{extent.offset, begin - extent.offset, extents::data};
  auto append = [&](uint64_t length, extents::Type type) {
    if (run.length > 0 && run.type != type) {
      add(run);
      run = {run.end(), 0, type};
    }
    run.type = type;
    run.length += length;
  };
  std::array<Digest, at_once> written;
  for (uint64_t at = begin; at < end;) {
    const size_t n = std::min<uint64_t>(at_once, (end - at + block_bytes - 1) / block_bytes);
    file_.read(at / block_bytes, std::span(written).first(n));
    for (size_t i = 0; i < n; ++i) {
      const uint64_t length = block_at(at).length;
      append(length, written[i] == hasher_.of_zeroes(length) ? extent.type : extents::data);
      at += length;
    }
  }
  if (extent.end() > end) append(extent.end() - end, extents::data);
  add(run);
}

}  // namespace delta
