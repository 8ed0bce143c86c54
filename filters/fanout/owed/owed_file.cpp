// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/owed/owed_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/percent.hpp"

namespace fanout {

namespace {

constexpr const char *our_source = "nbdkit-fanout-filter";

util::FileLock lock(const std::string &path) {
  if (auto held = util::FileLock::try_lock(path)) return *std::move(held);
  util::fail(EBUSY,
             "another server is using {} (it holds {}): a destination has one server, wait for its "
             "end, or give each a directory of its own as fanout-state",
             path, util::lock_path_of(path));
}

}  // namespace

std::string owed_file_name(const std::string &destination) {
  constexpr std::string_view keep = "-_.";
  // No hidden files, and no "..".
  std::string name = destination.starts_with('.')
                         ? "%2E" + util::percent_encode(destination.substr(1), keep)
                         : util::percent_encode(destination, keep);
  constexpr size_t longest = 200;  // file systems allow 255; suffixes need some
  if (name.size() > longest) {
    util::fail(EINVAL, "the name {} is too long for a file in fanout-state: give a fanout-name",
               destination);
  }
  return name + ".json";
}

OwedFile::OwedFile(const std::string &directory, const std::string &destination, bool new_owes_all)
    : new_owes_all_(new_owes_all) {
  state_.source = our_source;
  state_.destination = destination;
  if (directory.empty()) return;
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) < 0) {
    util::fail_os(errno, "fanout-state={}: must be a writable directory", directory);
  }
  path_ = directory + "/" + owed_file_name(destination);
  lock_.emplace(lock(path_));
  durability::remove_unfinished(path_);
  auto found = replication::load_state(path_);
  if (!found) return;
  if (found->source != our_source || found->destination != destination) {
    util::fail(EINVAL,
               "{} is the state of destination \"{}\" of {}, not of \"{}\" of {}: give each job a "
               "fanout-state of its own; if the file is no longer needed, remove it",
               path_, found->destination, found->source, destination, our_source);
  }
  state_ = std::move(*found);
  written_ = true;
}

bool OwedFile::found() const {
  util::MutexLock saving(saving_);
  return written_;
}

std::vector<Range> OwedFile::open(uint64_t size, const std::string &export_name) {
  if (!used()) return {};
  const bool exists = found();
  if (exists && (state_.size > size || state_.vm != export_name)) {
    util::fail(EINVAL,
               "{} is the state of a primary of {} bytes, export \"{}\"; this one has {} bytes, "
               "export \"{}\": give each job a fanout-state of its own; if the destination needs a "
               "full copy, remove the file",
               path_, state_.size, state_.vm, size, export_name);
  }
  // What the primary has grown by since.
  const Range added{state_.size, exists ? size - state_.size : 0};
  state_.size = size;
  state_.vm = export_name;
  constexpr uint64_t smallest = 16u << 20;
  region_ = std::max(smallest, std::bit_ceil(size / 256 + 1));
  if (!exists && new_owes_all_) {
    claim(Range{0, size});
    return {{0, size}};
  }
  {
    util::MutexLock lock(mutex_);
    for (const Range &range : state_.owed) claimed_.add(range);
  }
  if (!added.empty()) {
    try {
      claim(added);
    } catch (...) {
      state_.size = added.offset;  // so the next call owes it
      throw;
    }
    state_.owed.push_back(added);
  }
  return std::exchange(state_.owed, {});
}

Range OwedFile::region(Range range) const {
  if (range.empty()) return range;
  uint64_t start = range.offset / region_ * region_;
  uint64_t end = ((range.end() - 1) / region_ + 1) * region_;
  return {start, std::min(end, state_.size) - start};
}

DirtyMap OwedFile::regions_of(const DirtyMap &map) const {
  DirtyMap regions;
  map.for_each([&](Range range) { regions.add(region(range)); });
  return regions;
}

void OwedFile::claim(Range range) {
  if (!used()) return;
  {
    util::MutexLock lock(mutex_);
    if (claimed_.contains(range)) return;
  }
  DirtyMap regions;
  regions.add(region(range));
  claim_regions(regions);
}

void OwedFile::claim(const DirtyMap &map) {
  if (used()) claim_regions(regions_of(map));
}

bool OwedFile::owes(const DirtyMap &map) const {
  util::MutexLock lock(mutex_);
  DirtyMap all = claimed_;
  all.add(map);
  return used() && all.blocks() == claimed_.blocks();
}

void OwedFile::claim_regions(const DirtyMap &regions) {
  util::MutexLock saving(saving_);
  DirtyMap more;
  {
    util::MutexLock lock(mutex_);
    more = claimed_;
  }
  const uint64_t before = more.blocks();
  more.add(regions);
  if (more.blocks() == before && written_) return;
  write(more);
  exact_ = true;
  util::MutexLock lock(mutex_);
  claimed_ = std::move(more);
}

std::string OwedFile::reset_to_regions(const AtRisk &at_risk) {
  try {
    reset(at_risk, Grain::region);
    return {};
  } catch (const util::Error &e) {
    return e.what();
  }
}

void OwedFile::reset_to_blocks(const AtRisk &at_risk) {
  reset(at_risk, Grain::block);
}

// What is no longer owed leaves claimed_ before the file is written: a thread that claims it
// meanwhile waits for saving_, and then writes the file again.
void OwedFile::reset(const AtRisk &at_risk, Grain grain) {
  if (!used() || region_ == 0) return;
  util::MutexLock saving(saving_);
  DirtyMap owed;
  {
    util::MutexLock lock(mutex_);
    owed = at_risk();
    if (grain == Grain::region) owed = regions_of(owed);
    if (exact_ && owed == claimed_) return;
    claimed_.keep_only(owed);
  }
  REPLICATE_SYNC_POINT("fanout.reset_not_written");
  write(owed);
  exact_ = true;
  util::MutexLock lock(mutex_);
  claimed_ = std::move(owed);
}

void OwedFile::write(const DirtyMap &owed) {
  exact_ = false;
  replication::save_state(path_, state_, [&](const auto &add) {
    owed.for_each([&](Range range) {
      range = extents::intersect(range, {0, state_.size});
      if (!range.empty()) add(range);
    });
  });
  written_ = true;
}

}  // namespace fanout
