// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/owed/owed_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cerrno>
#include <string_view>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

namespace {

constexpr const char *our_source = "nbdkit-fanout-filter";

util::Fd lock(const std::string &path) {
  std::string lock_path = path + ".lock";
  util::Fd fd = util::open_file(lock_path, O_RDWR | O_CREAT);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) util::fail_os(errno, "cannot lock {}", lock_path);
  util::fail(EBUSY,
             "another server is using {} (it holds {}): a destination has one server, wait for its "
             "end, or give each a directory of its own as fanout-state",
             path, lock_path);
}

}  // namespace

std::string state_file_name(const std::string &destination) {
  std::string name;
  for (char c : destination) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = std::isalnum(byte) != 0 ||
                 std::string_view("-_").find(c) != std::string_view::npos ||
                 (c == '.' && !name.empty());
    name += plain && byte < 128 ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  constexpr size_t longest = 200;  // of the 255 that file systems have; some are needed behind it
  if (name.size() > longest) {
    util::fail(EINVAL, "the name {} is too long for a file in fanout-state: give a fanout-name",
               destination);
  }
  return name + ".json";
}

StateFile::StateFile(const std::string &directory, const std::string &destination,
                     bool new_owes_all)
    : new_owes_all_(new_owes_all) {
  state_.source = our_source;
  state_.destination = destination;
  if (directory.empty()) return;
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) < 0) {
    util::fail_os(errno, "fanout-state={}: must be a directory that can be written to", directory);
  }
  path_ = directory + "/" + state_file_name(destination);
  locked_ = lock(path_);
  auto found = replication::load_state(path_);
  if (!found) return;
  if (found->source != our_source || (found->destination != destination)) {
    util::fail(EINVAL,
               "{} is the state of destination \"{}\" of {}, not of \"{}\" of {}: give each job a "
               "fanout-state of its own; if it is not needed any more, remove the file",
               path_, found->destination, found->source, destination, our_source);
  }
  state_ = std::move(*found);
  written_ = true;
}

std::vector<Range> StateFile::open(uint64_t size, const std::string &export_name) {
  if (!used()) return {};
  if (written_ && (state_.size != size || state_.vm != export_name)) {
    util::fail(
        EINVAL,
        "{} is the state of a primary of {} bytes, export \"{}\"; this one has {} bytes, "
        "export \"{}\": give each job a fanout-state of its own; if the destination is to be "
        "written anew as a whole, remove the file",
        path_, state_.size, state_.vm, size, export_name);
  }
  state_.size = size;
  state_.vm = export_name;
  constexpr uint64_t smallest = 16u << 20;
  region_ = std::max(smallest, std::bit_ceil(size / 256 + 1));
  if (!written_ && new_owes_all_) {
    claim(Range{0, size});
    return {{0, size}};
  }
  std::lock_guard guard(lock_);
  for (const Range &range : state_.owed) claimed_.add(range);
  return std::exchange(state_.owed, {});
}

Range StateFile::region(Range range) const {
  if (range.empty()) return range;
  uint64_t start = range.offset / region_ * region_;
  uint64_t end = ((range.end() - 1) / region_ + 1) * region_;
  return {start, std::min(end, state_.size) - start};
}

void StateFile::claim(Range range) {
  if (!used()) return;
  {
    std::lock_guard guard(lock_);
    if (claimed_.contains(range)) return;
  }
  claim_regions([&](DirtyMap &to) { to.add(region(range)); });
}

void StateFile::claim(const DirtyMap &map) {
  if (!used()) return;
  claim_regions([&](DirtyMap &to) { map.for_each([&](Range range) { to.add(region(range)); }); });
}

void StateFile::claim_regions(const std::function<void(DirtyMap &)> &add) {
  std::lock_guard saving(saving_);
  DirtyMap more;
  {
    std::lock_guard guard(lock_);
    more = claimed_;
  }
  uint64_t before = more.blocks();
  add(more);
  if (more.blocks() == before && written_) return;
  write(more);
  std::lock_guard guard(lock_);
  claimed_ = std::move(more);
}

std::string StateFile::set_back(const AtRisk &at_risk) {
  try {
    replace(at_risk, false);
    return {};
  } catch (const util::Error &e) {
    return e.what();
  }
}

void StateFile::set_exactly(const AtRisk &at_risk) {
  replace(at_risk, true);
}

// What is no longer claimed is taken away before the file is written: while that lasts, who wants to
// claim it waits for it and then writes it again.
void StateFile::replace(const AtRisk &at_risk, bool exactly) {
  if (!used() || region_ == 0) return;
  std::lock_guard saving(saving_);
  DirtyMap now;
  {
    std::lock_guard guard(lock_);
    DirtyMap map = at_risk();
    if (exactly) {
      now = std::move(map);
    } else {
      map.for_each([&](Range range) { now.add(region(range)); });
    }
    claimed_.keep_only(now);
  }
  write(now);
  std::lock_guard guard(lock_);
  claimed_ = std::move(now);
}

void StateFile::write(const DirtyMap &owed) {
  replication::save_state(path_, state_, [&](const auto &add) {
    owed.for_each([&](Range range) {
      range = extents::intersect(range, {0, state_.size});
      if (!range.empty()) add(range);
    });
  });
  written_ = true;
}

}  // namespace fanout
