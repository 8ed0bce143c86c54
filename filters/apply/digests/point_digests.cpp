// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/digests/point_digests.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "filters/apply/digests/block_range.hpp"

namespace apply {

namespace {

std::string uuid_of(const std::string &description) {
  const auto image = replication::parse_image_identity(description);
  return image ? image->uuid : "";
}

// Why a file cannot be the base of what the run makes; empty if it can.
std::string why_not(const digests::DigestHeader &header, const std::string &since,
                    const std::string &description) {
  if (!header.complete) return "is of a run that was not finished";
  if (since.empty()) return "is of no use: nothing is known of what the destination held";
  if (header.checkpoint != since) {
    return fmt::format("is of \"{}\", but the destination held \"{}\"", header.checkpoint, since);
  }
  const auto image = replication::parse_image_identity(description);
  if (image && !header.image.empty() && !image->is_or_lies_over(header.image)) {
    return fmt::format("is of the image {}, and the destination does not lie over it",
                       header.image);
  }
  return {};
}

constexpr const char *remedy = "it is not used";

}  // namespace

PointDigests::PointDigests(const std::string &path, const std::string &parent, const Point &point,
                           const DeltaMap &delta, const util::Log &log)
    : path_(util::resolve_links(path)),
      partial_(path_ + ".partial"),
      delta_(delta),
      since_(point.held) {
  continue_partial(point);
  find_base(parent, point, log);
  file_ = digests::DigestFile::create(partial_,
                                      {.size = point.size,
                                       .checkpoint = point.checkpoint,
                                       .key = base_ ? base_->header().key : digests::random_key(),
                                       .complete = false,
                                       .image = uuid_of(point.image)});
  if (base_) keep_changed();
  remove_of(point.checkpoint);
}

// What a run to the checkpoint that the destination is on the way to, and that was cut off, may have changed.
void PointDigests::continue_partial(const Point &point) {
  try {
    const auto partial = digests::DigestFile::open(partial_, remedy);
    if (!partial || partial->header().complete || partial->header().since.empty()) return;
    const digests::DigestHeader &header = partial->header();
    if (header.checkpoint != point.held || header.image != uuid_of(point.image)) return;
    earlier_ = partial->changed();
    since_ = header.since;
  } catch (const util::Error &) {  // it is of no use
  }
}

void PointDigests::find_base(const std::string &parent, const Point &point, const util::Log &log) {
  if (delta_.delta_bytes() == point.size) return;  // of no use
  // An earlier run may have completed FILE, of the same image; so it is asked first.
  for (const std::string &path : {path_, parent}) {
    if (path.empty()) continue;
    std::string why;
    try {
      auto file = digests::DigestFile::open(path, remedy);
      why = path + " " + (file ? why_not(file->header(), since_, point.image) : "does not exist");
      if (file && why == path + " ") {
        base_ = std::move(file);
        return;
      }
    } catch (const util::Error &e) {
      why = e.what();
    }
    if (path == parent) {
      log.warning("apply-digests-parent={}: what is not in the delta is read at the end", why);
    } else {
      log.info("apply-digests={}", why);
    }
  }
}

// So that the run that continues this one, if it is cut off, need not read what neither has changed.
void PointDigests::keep_changed() {
  const uint64_t blocks = file_->header().blocks();
  std::vector<std::byte> bits = earlier_;
  bits.resize((blocks + 7) / 8);
  delta_.for_each({0, std::min(delta_.size(), file_->header().size)}, [&](const Area &area) {
    if (area.kind == Kind::outside) return true;
    const BlockRange touched = blocks_of(area.range);
    for (uint64_t i = touched.first; i < touched.end; ++i) bits[i / 8] |= std::byte{1} << (i % 8);
    return true;
  });
  file_->set_changed(base_->header().checkpoint, bits);
}

// The last block of an earlier disk may have been a short one.
std::vector<bool> PointDigests::unchanged(uint64_t first, uint64_t count) const {
  std::vector<bool> result(count);
  if (!base_) return result;
  const uint64_t size = file_->header().size;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t block = first + i;
    const bool earlier = block / 8 < earlier_.size() &&
                         (earlier_[block / 8] >> (block % 8) & std::byte{1}) != std::byte{0};
    result[i] = !earlier && block_of(block, base_->header().size) == block_of(block, size);
  }
  const uint64_t start = block_of(first, size).offset;
  const uint64_t end = std::min(block_of(first + count - 1, size).end(), delta_.size());
  if (start >= end) return result;
  delta_.for_each({start, end - start}, [&](const Area &area) {
    if (area.kind == Kind::outside) return true;
    const BlockRange touched = blocks_of(area.range);
    for (uint64_t i = touched.first; i < touched.end; ++i) result[i - first] = false;
    return true;
  });
  return result;
}

void PointDigests::remove_of(const std::string &checkpoint) const {
  try {
    const auto file = digests::DigestFile::open(path_, "");
    if (!file || file->header().checkpoint != checkpoint) return;
  } catch (const util::Error &) {  // nobody can use it
    return;
  }
  if (::unlink(path_.c_str()) < 0) util::fail_os(errno, "cannot remove {}", path_);
  durability::sync_directory(util::directory_of(path_));
}

void PointDigests::complete() {
  if (completed_) return;
  file_->complete();
  durability::rename_file(partial_, path_, true);
  completed_ = true;
}

void PointDigests::reopen() {
  if (!completed_) return;
  durability::rename_file(path_, partial_, true);
  file_->reopen();
  completed_ = false;
}

}  // namespace apply
