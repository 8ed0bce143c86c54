// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-delta-filter: shows NBD clients only what has to be copied.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/digests/digest.hpp"
#include "common/nbd/handshake.hpp"
#include "common/util/error.hpp"
#include "common/util/mutex.hpp"
#include "filters/delta/changes/load_changes.hpp"
#include "filters/delta/changes/mapped_source.hpp"
#include "filters/delta/check/checked_disk.hpp"
#include "filters/delta/digests/digested_source.hpp"
#include "filters/delta/export_name.hpp"
#include "filters/delta/owed_states.hpp"
#include "filters/delta/parameters.hpp"
#include "filters/delta/sector_extents.hpp"

namespace delta {

namespace {

// How often the layer below is asked for one answer to the client. It may answer for one extent at
// a time, and the client would need a round trip for each. So it is asked again, until the whole
// request is answered, or one second has passed.
class QueryLimit {
 public:
  using Clock = std::chrono::steady_clock;

  explicit QueryLimit(bool one_extent) : one_extent_(one_extent) {}
  Clock::time_point until() const { return start_ + std::chrono::seconds(1); }
  // Whether to ask again. answered: there is an extent to answer with.
  bool more(bool answered) const { return !answered || (!one_extent_ && Clock::now() < until()); }

 private:
  const bool one_extent_;  // the client wants the first extent only
  const Clock::time_point start_ = Clock::now();
};

// The layer below, as this connection reaches it.
class NextDisk : public SourceDisk {
 public:
  explicit NextDisk(nbdkit::Next next) : next_(next) {}
  std::vector<extents::Extent> extents(extents::Range range) override {
    constexpr uint64_t most = UINT32_MAX / digests::block_bytes * digests::block_bytes;
    return next_.extents(static_cast<uint32_t>(std::min(range.length, most)), range.offset);
  }
  void read(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }

 private:
  nbdkit::Next next_;
};

class Connection {
 public:
  // changes: null if the layer below tells what has changed. checked: null if nothing is checked; else
  // all is shown as it is.
  Connection(const OwedStates &states, ChangeSource *changes, const CheckedDisk *checked,
             Zeroes zeroes, bool honest)
      : states_(states), changes_(changes), checked_(checked), zeroes_(zeroes), honest_(honest) {}

  void prepare(nbdkit::Next next, bool) {
    description_ = next.export_description();
    const uint64_t size = next.get_size();
    if (checked_ != nullptr) return checked_->check_belongs(size, description_);
    if (changes_ != nullptr) {
      next.can_extents();
      description_ = replication::format(
          changes_->describe(description_, size, states_.state_of(description_)));
    }
    if (!honest_) owed_ = states_.of(description_, size);
  }

  std::string export_description(nbdkit::Next) { return description_; }

  // nbdkit wants this question before extents are asked for. A layer below without extents is all
  // data.
  bool can_extents(nbdkit::Next next) {
    next.can_extents();
    return true;
  }

  // A source shows one point in time.
  bool can_write(nbdkit::Next) { return false; }

  void pread(nbdkit::Next next, std::span<std::byte> buffer, uint64_t offset) {
    if (checked_ == nullptr) return next.pread(buffer, offset);
    NextDisk disk(next);
    checked_->read(disk, buffer, offset);
  }

  // Answers in whole sectors, or blocks that are checked, so for a little more than was asked.
  void extents(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags,
               nbdkit::ExtentList &list) {
    const uint64_t unit = checked_ != nullptr ? digests::block_bytes : SectorExtents::sector;
    const uint64_t size = next.get_size();
    uint64_t at = offset / unit * unit;
    // A client that wants one extent at a time asks for each of them: the layer below must not list
    // all that follow for each answer.
    const bool one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
    if (one) count = std::min<uint32_t>(count, 128u << 20);
    const uint64_t end = std::min((offset + count + unit - 1) / unit * unit, size);
    SectorExtents sectors([&](const extents::Extent &extent) { list.add(extent); });
    auto add = [&](const extents::Extent &extent) {
      if (checked_ != nullptr) {
        checked_->show(extent, [&](const auto &shown) { sectors.feed(shown); });
      } else if (honest_) {
        sectors.feed(extent);
      } else {
        show(extent, *owed_, zeroes_, [&](const auto &shown) { sectors.feed(shown); });
      }
      at = extent.end();
    };
    QueryLimit limit(one);
    NextDisk disk(next);
    while (at < end && limit.more(!sectors.empty())) {
      const extents::Range ask{at, std::min<uint64_t>(end - at, UINT32_MAX / unit * unit)};
      if (changes_ != nullptr) {
        changes_->honest(disk, ask, limit.until(), add);
      } else {
        for (const auto &extent : disk.extents(ask)) add(extent);
      }
    }
    if (at == size) sectors.end_of_disk();
  }

 private:
  const OwedStates &states_;
  ChangeSource *const changes_;
  const CheckedDisk *const checked_;
  const Zeroes zeroes_;
  const bool honest_;
  std::string description_;
  std::shared_ptr<const extents::RangeSet> owed_;  // empty for an honest export
};

class Filter {
 public:
  static constexpr const char *name = "delta";
  static constexpr const char *longname = "nbdkit delta filter";
  static constexpr const char *description =
      "show NBD clients only what has to be copied, at the source";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() {
    return {{"libnbd", nbd::library_version()}, {"xxhash", digests::library_version()}};
  }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }

  void config_complete() { parameters_.complete(); }

  void get_ready(int thread_model) {
    Settings settings = parameters_.settings;
    if (!settings.check_path.empty()) checked_ = std::make_unique<CheckedDisk>(settings.check_path);
    if (!settings.owed_path.empty()) states_ = OwedStates::load(settings.owed_path);
    if (!settings.map.value.empty()) {
      changes_ =
          std::make_unique<MappedSource>(load_changes(settings.map, {}, nbdkit::log()),
                                         settings.points, settings.map.origin(), nbdkit::log());
    } else if (!settings.digests.path.empty()) {
      constexpr unsigned threads = 8;
      settings.digests.threads = thread_model == NBDKIT_THREAD_MODEL_PARALLEL ? threads : 0;
      changes_ = std::make_unique<DigestedSource>(settings.digests, nbdkit::log());
    }
  }

  void list_exports(nbdkit::LowerExports &lower, bool, bool, nbdkit::ExportList &list) {
    for (const auto &e : lower.list()) {
      list.add(e.name, e.description);
      if (!checked_) list.add(honest_name(e.name), e.description);
    }
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly, const std::string &name,
                                   bool) {
    const ExportName wanted = checked_ ? ExportName{true, name} : parse_export_name(name);
    if (changes_) check_one_disk(wanted.lower);
    opener.next(readonly, wanted.lower);
    return std::make_unique<Connection>(states_, changes_.get(), checked_.get(),
                                        parameters_.settings.zeroes, wanted.honest);
  }

 private:
  // What tells the changes is of one disk: the one that is asked for first.
  void check_one_disk(const std::string &name) {
    util::MutexLock lock(mutex_);
    if (!disk_) disk_ = name;
    if (*disk_ == name) return;
    util::fail(
        ENOENT,
        "export \"{}\": delta-map= and delta-digests= are of one disk, here of the export \"{}\" "
        "(nbdkit-exportname-filter(1) selects one)",
        name, *disk_);
  }

  Parameters parameters_;
  OwedStates states_;
  std::unique_ptr<ChangeSource> changes_;       // with delta-map= or delta-digests=
  std::unique_ptr<const CheckedDisk> checked_;  // with delta-check=
  util::Mutex mutex_;
  std::optional<std::string> disk_ ABSL_GUARDED_BY(mutex_);  // an export
};

}  // namespace

}  // namespace delta

REPLICATE_REGISTER_FILTER(delta::Filter)
