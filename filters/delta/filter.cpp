// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-delta-filter: shows NBD clients only what has to be copied.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

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
  Connection(const OwedStates &states, Zeroes zeroes, bool honest)
      : states_(states), zeroes_(zeroes), honest_(honest) {}

  void prepare(nbdkit::Next next, bool) {
    if (!honest_) owed_ = states_.of(next.export_description(), next.get_size());
  }

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
      for (const auto &extent : next.extents(ask, at)) {
        if (honest_) {
          sectors.feed(extent);
        } else {
          show(extent, *owed_, zeroes_, [&](const auto &shown) { sectors.feed(shown); });
        }
        at = extent.end();
      }
    }
    if (at == size) sectors.end_of_disk();
  }

 private:
  const OwedStates &states_;
  const Zeroes zeroes_;
  const bool honest_;
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

  void get_ready(int) {
    const std::string &path = parameters_.settings.owed_path;
    if (!path.empty()) states_ = OwedStates::load(path);
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
    opener.next(readonly, wanted.lower);
    return std::make_unique<Connection>(states_, parameters_.settings.zeroes, wanted.honest);
  }

 private:
  Parameters parameters_;
  OwedStates states_;
};

}  // namespace

}  // namespace delta

REPLICATE_REGISTER_FILTER(delta::Filter)
