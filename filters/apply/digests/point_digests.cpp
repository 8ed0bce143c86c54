// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/digests/point_digests.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"

namespace apply {

namespace {

// Why a file cannot be the base of what the run makes; empty if it can.
std::string why_not(const digests::DigestFile &file, const Point &point) {
  const digests::DigestHeader &header = file.header();
  if (!header.complete) return "is of a run that was not finished";
  if (point.held.empty()) return "is of no use: nothing is known of what the destination held";
  if (header.checkpoint != point.held) {
    return fmt::format("is of \"{}\", but the destination held \"{}\"", header.checkpoint,
                       point.held);
  }
  const auto image = replication::parse_image_identity(point.image);
  if (image && !header.image.empty() && !image->is_or_lies_over(header.image)) {
    return fmt::format("is of the image {}, and the destination does not lie over it",
                       header.image);
  }
  return {};
}

std::string uuid_of(const std::string &description) {
  const auto image = replication::parse_image_identity(description);
  return image ? image->uuid : "";
}

}  // namespace

PointDigests::PointDigests(const std::string &path, const std::string &parent, const Point &point,
                           const util::Log &log)
    : path_(util::resolve_links(path)),
      partial_(path_ + ".partial"),
      base_(find_base(parent, point, log)),
      file_(digests::DigestFile::create(partial_,
                                        {.size = point.size,
                                         .checkpoint = point.checkpoint,
                                         .key = base_ ? base_->header().key : digests::random_key(),
                                         .complete = false,
                                         .image = uuid_of(point.image)})) {
  remove_of(point.checkpoint);
}

std::optional<digests::DigestFile> PointDigests::find_base(const std::string &parent,
                                                           const Point &point,
                                                           const util::Log &log) const {
  if (point.whole_disk) return std::nullopt;
  // An earlier run may have completed FILE, of the same image; so it is asked first.
  for (const std::string &path : {path_, parent}) {
    if (path.empty()) continue;
    const bool given = path == parent;
    std::string why = "does not exist";
    try {
      auto file = digests::DigestFile::open(path, "it is not used");
      if (file) why = why_not(*file, point);
      if (file && why.empty()) return file;
      why = path + " " + why;
    } catch (const util::Error &e) {
      why = e.what();
    }
    if (given) {
      log.warning("apply-digests-parent={}: what is not in the delta is read at the end", why);
    } else {
      log.info("apply-digests={}", why);
    }
  }
  return std::nullopt;
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
  file_.complete();
  durability::rename_file(partial_, path_, true);
  completed_ = true;
}

void PointDigests::reopen() {
  if (!completed_) return;
  durability::rename_file(path_, partial_, true);
  file_.reopen();
  completed_ = false;
}

}  // namespace apply
