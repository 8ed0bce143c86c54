// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/digests/digest_recorder.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "filters/apply/digests/recording.hpp"
#include "filters/apply/digests/unknown_blocks.hpp"

namespace apply {

using digests::block_bytes;
using digests::Digest;
using extents::Range;
using util::MutexLock;

DigestRecorder::DigestRecorder(std::string path, std::string parent, const DeltaMap &map,
                               std::string held, std::string checkpoint, util::Log log)
    : path_(std::move(path)),
      parent_(std::move(parent)),
      map_(map),
      held_(std::move(held)),
      checkpoint_(std::move(checkpoint)),
      log_(std::move(log)) {
  const std::string directory = util::directory_of(path_);
  if (::access(directory.c_str(), W_OK | X_OK) < 0) {
    util::fail_os(errno, "apply-digests={}: cannot write to the directory {}", path_, directory);
  }
}

DigestRecorder::~DigestRecorder() = default;

void DigestRecorder::begin(const DestinationDisk &destination) noexcept {
  if (ready_ != nullptr || failed_) return;
  try {
    MutexLock lock(opening_);
    if (made_ || failed_) return;
    const Point point{.held = held_,
                      .checkpoint = checkpoint_,
                      .size = destination.size(),
                      .image = destination.description()};
    made_ = std::make_unique<Recording>(path_, parent_, point, map_, log_);
    ready_ = made_.get();
  } catch (...) {
    fail(std::current_exception());
  }
}

void DigestRecorder::reopen() noexcept {
  if (!completed_) return;
  try {
    MutexLock lock(opening_);
    if (!completed_) return;
    made_->files.reopen();
    completed_ = false;
  } catch (...) {
    fail(std::current_exception());
  }
}

// A point without digests is still a point.
void DigestRecorder::fail(const std::exception_ptr &why) noexcept {
  if (failed_.exchange(true)) return;
  std::string reason = "the destination cannot be read";  // the layer below has said why
  try {
    std::rethrow_exception(why);
  } catch (const std::exception &e) {
    reason = e.what();
  } catch (...) {
  }
  log_.warning("apply-digests={}: {}: there are no digests of this copy, which is not affected",
               path_, reason);
}

bool DigestRecorder::complete(DestinationDisk &destination, unsigned threads,
                              const std::function<bool()> &stop) {
  begin(destination);
  Recording *recording = this->recording();
  if (recording == nullptr || completed_) return true;
  try {
    const uint64_t sent = recording->known.count();
    UnknownBlocks unknown(*recording);
    if (!unknown.compute(destination, threads, stop)) return false;
    REPLICATE_SYNC_POINT("apply.digests.before_complete");
    MutexLock lock(opening_);
    recording->files.complete();
    completed_ = true;
    log_.info(
        "apply: the digests of {} blocks are complete: {} of what was sent, {} of the parent, {} "
        "of "
        "what was read",
        recording->files.file().header().blocks(), sent, unknown.from_base(), unknown.read());
  } catch (...) {
    fail(std::current_exception());
  }
  return true;
}

DigestRecorder::Request::Request(DigestRecorder *recorder, Range range) noexcept
    : recorder_(recorder),
      recording_(recorder == nullptr || range.empty() ? nullptr : recorder->recording()),
      range_(range) {
  if (recording_ == nullptr) return;
  recorder_->reopen();
  op_ = recording_->known.begin(blocks_of(range));
}

DigestRecorder::Request::~Request() {
  if (recording_ != nullptr) recording_->known.end(op_, written_);
}

void DigestRecorder::Request::wrote(std::span<const std::byte> bytes) noexcept {
  write([&](Range block) {
    return recording_->hasher(bytes.subspan(block.offset - range_.offset, block.length));
  });
}

void DigestRecorder::Request::zeroed() noexcept {
  write([&](Range block) { return recording_->hasher.of_zeroes(block.length); });
}

// The blocks that lie wholly in the range.
template <typename DigestOf>
void DigestRecorder::Request::write(DigestOf &&digest_of) noexcept {
  if (recording_ == nullptr) return;
  const uint64_t first = (range_.offset + block_bytes - 1) / block_bytes;
  const uint64_t end = range_.end() == recording_->size ? recording_->files.file().header().blocks()
                                                        : range_.end() / block_bytes;
  if (first >= end) return;
  try {
    std::vector<Digest> digests;
    digests.reserve(end - first);
    for (uint64_t block = first; block < end; ++block) {
      digests.push_back(digest_of(block_of(block, recording_->size)));
    }
    REPLICATE_SYNC_POINT("apply.digests.before_write");
    recording_->files.file().write(first, digests);
    written_ = {first, end};
  } catch (...) {
    recorder_->fail(std::current_exception());
  }
}

}  // namespace apply
