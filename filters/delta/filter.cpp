// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-delta-filter: shows NBD clients only what has to be copied.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/util/error.hpp"
#include "filters/delta/changes/load_changes.hpp"
#include "filters/delta/changes/mapped_source.hpp"
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
  explicit QueryLimit(bool one_extent) : one_extent_(one_extent) {}
  // Whether to ask again. answered: there is an extent to answer with.
  bool more(bool answered) const {
    return !answered || (!one_extent_ && Clock::now() - start_ < std::chrono::seconds(1));
  }

 private:
  using Clock = std::chrono::steady_clock;
  const bool one_extent_;  // the client wants the first extent only
  const Clock::time_point start_ = Clock::now();
};

class Connection {
 public:
  // mapped: null if the layer below tells what has changed.
  Connection(const OwedStates &states, MappedSource *mapped, Zeroes zeroes, bool honest)
      : states_(states), mapped_(mapped), zeroes_(zeroes), honest_(honest) {}

  void prepare(nbdkit::Next next, bool) {
    description_ = next.export_description();
    const uint64_t size = next.get_size();
    if (mapped_ != nullptr) {
      const auto shown = mapped_->describe(description_, size, states_.state_of(description_));
      description_ = replication::format(shown);
      if (shown.mode == "full") mapped_ = nullptr;
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

  // Answers in whole sectors, so for a little more than was asked.
  void extents(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags,
               nbdkit::ExtentList &list) {
    constexpr uint64_t sector = SectorExtents::sector;
    const uint64_t size = next.get_size();
    uint64_t at = offset / sector * sector;
    // A client that wants one extent at a time asks for each of them: the layer below must not list
    // all that follow for each answer.
    const bool one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
    if (one) count = std::min<uint32_t>(count, 128u << 20);
    const uint64_t end = std::min((offset + count + sector - 1) / sector * sector, size);
    SectorExtents sectors([&](const extents::Extent &extent) { list.add(extent); });
    QueryLimit limit(one);
    while (at < end && limit.more(!sectors.empty())) {
      auto ask = static_cast<uint32_t>(std::min<uint64_t>(end - at, UINT32_MAX / sector * sector));
      honest_extents(next, ask, at, [&](const extents::Extent &extent) {
        if (honest_) {
          sectors.feed(extent);
        } else {
          show(extent, *owed_, zeroes_, [&](const auto &shown) { sectors.feed(shown); });
        }
        at = extent.end();
      });
    }
    if (at == size) sectors.end_of_disk();
  }

 private:
  using Add = std::function<void(const extents::Extent &)>;

  // The layer below is not asked for what has not changed.
  void honest_extents(nbdkit::Next next, uint32_t count, uint64_t offset, const Add &add) {
    const uint64_t end = offset + count;
    if (mapped_ != nullptr) {
      const uint64_t changed = mapped_->unchanged_until({offset, count});
      if (changed > offset) add({offset, changed - offset, extents::hole});
      offset = changed;
    }
    if (offset == end) return;
    for (const auto &extent : next.extents(static_cast<uint32_t>(end - offset), offset)) {
      if (mapped_ != nullptr) {
        mapped_->honest(extent, add);
      } else {
        add(extent);
      }
    }
  }

  const OwedStates &states_;
  MappedSource
      *mapped_;  // null: the layer below tells what has changed, or the whole disk is shown
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

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }

  void config_complete() { parameters_.complete(); }

  void get_ready(int) {
    const Settings &settings = parameters_.settings;
    if (!settings.owed_path.empty()) states_ = OwedStates::load(settings.owed_path);
    if (settings.map.value.empty()) return;
    mapped_.emplace(load_changes(settings.map, {}, nbdkit::log()), settings.points,
                    settings.map.origin(), nbdkit::log());
  }

  void list_exports(nbdkit::LowerExports &lower, bool, bool, nbdkit::ExportList &list) {
    for (const auto &e : lower.list()) {
      list.add(e.name, e.description);
      list.add(honest_name(e.name), e.description);
    }
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly, const std::string &name,
                                   bool) {
    ExportName wanted = parse_export_name(name);
    if (mapped_ && !wanted.lower.empty()) {
      util::fail(ENOENT,
                 "there is no export \"{}\": delta-map= is of one disk, the default export "
                 "(nbdkit-exportname-filter(1) selects another)",
                 wanted.lower);
    }
    opener.next(readonly, wanted.lower);
    return std::make_unique<Connection>(states_, mapped_ ? &*mapped_ : nullptr,
                                        parameters_.settings.zeroes, wanted.honest);
  }

 private:
  Parameters parameters_;
  OwedStates states_;
  std::optional<MappedSource> mapped_;  // with delta-map=
};

}  // namespace

}  // namespace delta

REPLICATE_REGISTER_FILTER(delta::Filter)
