// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/digests/digested_source.hpp"

#include <cerrno>
#include <optional>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/random.hpp"

namespace delta {

namespace {

// No two runs have the same: a disk that was read at another time may have other content.
std::string new_checkpoint() {
  return util::random_hex(16);
}

}  // namespace

struct DigestedSource::Opened {
  Opened(Generations from, replication::SourceDescription description, bool tracked,
         unsigned threads)
      : generations(std::move(from)),
        shown(std::move(description)),
        next(generations.begin(shown.size, shown.checkpoint)),
        scan(shown.size, generations.base(), tracked, next, threads) {}

  const Generations generations;
  const replication::SourceDescription shown;
  digests::DigestFile next;
  Scan scan;
};

DigestedSource::DigestedSource(DigestSettings settings, const util::Log &log)
    : settings_(std::move(settings)), log_(log) {}

std::unique_ptr<DigestedSource::Opened> DigestedSource::open(
    const std::string &lower, uint64_t size, const replication::State &state) const {
  const std::string parameter = "delta-digests=" + settings_.path;
  const auto own = replication::parse_description(lower);
  replication::SourceDescription shown{"delta", settings_.disk_name, 0, size, "full", "", ""};
  if (own) shown = *own;
  if (shown.checkpoint.empty()) shown.checkpoint = new_checkpoint();

  // Where the layer below tells what has changed, only that is read and compared.
  const bool tracked = own && own->mode == "delta";
  Generations generations(settings_.path, tracked ? own->since : state.checkpoint);
  const digests::DigestFile *base = generations.base();
  if (base != nullptr && base->header().size > size) {
    util::fail(
        EINVAL,
        "{}: those digests are of a disk of {} bytes, and this one has {}: the disk has shrunk; "
        "remove the state and the digests to start with a full copy",
        parameter, base->header().size, size);
  }
  if (base != nullptr && !tracked) {
    shown.mode = "delta";
    shown.since = base->header().checkpoint;
  } else if (!tracked && !state.checkpoint.empty()) {
    const std::string what =
        generations.found().empty()
            ? fmt::format("{}: there are no digests of an earlier run", parameter)
            : fmt::format("{}: the digests are of \"{}\", but the destination holds \"{}\"",
                          parameter, generations.found(), state.checkpoint);
    if (settings_.fail_on_reset) {
      util::fail(EINVAL, "{}: remove the state to start with a full copy", what);
    }
    log_.warning("{}: the whole disk is shown", what);
  }
  return std::make_unique<Opened>(std::move(generations), std::move(shown), tracked,
                                  settings_.threads);
}

replication::SourceDescription DigestedSource::describe(const std::string &lower, uint64_t size,
                                                        const replication::State *state) {
  util::MutexLock lock(opening_);
  if (!opened_) opened_ = open(lower, size, state != nullptr ? *state : replication::State{});
  if (opened_->shown.size != size) {
    util::fail(ESTALE,
               "delta-digests={}: the disk had {} bytes at the first connection, and has {} now",
               settings_.path, opened_->shown.size, size);
  }
  return opened_->shown;
}

void DigestedSource::honest(SourceDisk &disk, extents::Range range, Clock::time_point until,
                            const Add &add) {
  Scan &scan = scan_of_opened();
  const uint64_t known = scan.compute(disk, range, until);
  scan.for_each({range.offset, known - range.offset}, add);
}

DigestedSource::~DigestedSource() = default;

Scan &DigestedSource::scan_of_opened() {
  util::MutexLock lock(opening_);
  return opened_->scan;
}

}  // namespace delta
