// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-delta-filter: shows any NBD client only what has to be copied.
#include "common/nbdkit/filter.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "common/nbdkit/params.hpp"
#include "filters/delta/owed_states.hpp"
#include "filters/delta/delta_view.hpp"

namespace delta {

namespace {

struct Settings {
  Owed owed;
  Zeroes zeroes = Zeroes::zero;
};

// How often the layer below is asked for one answer of ours. It may stop early, and then a client
// would need a round trip for each of its extents; so it is asked again, up to what the client wants
// to know, but for no longer than a client can be expected to wait.
class Asking {
 public:
  explicit Asking(bool one) : one_(one) {}
  // answered: something can be said already.
  bool more(bool answered) const {
    return !answered || (!one_ && Clock::now() - start_ < std::chrono::seconds(1));
  }

 private:
  using Clock = std::chrono::steady_clock;
  const bool one_;  // the client wants no more than the first extent
  const Clock::time_point start_ = Clock::now();
};

class Connection {
 public:
  Connection(const Settings &settings, bool honest) : settings_(settings), honest_(honest) {}

  void prepare(nbdkit::Next next, bool) {
    if (!honest_) owed_ = settings_.owed.of(next.export_description(), next.get_size());
  }

  // nbdkit insists that the layer below is asked before its extents are; one that has none is all
  // data.
  bool can_extents(nbdkit::Next next) {
    next.can_extents();
    return true;
  }

  // A source's bytes are of one point in time: nothing may be written to it.
  bool can_write(nbdkit::Next) { return false; }

  // In whole sectors, so a little more than was asked for.
  void extents(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags,
               nbdkit::ExtentList &list) {
    constexpr uint64_t sector = Sectors::sector;
    const uint64_t size = next.get_size();
    uint64_t at = offset / sector * sector;
    // Who wants one extent asks for each: the list of all must not be made for every answer.
    const bool one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
    if (one) count = std::min<uint32_t>(count, 128u << 20);
    const uint64_t end = std::min((offset + count + sector - 1) / sector * sector, size);
    Sectors sectors([&](const extents::Extent &extent) { list.add(extent); });
    Asking asking(one);
    while (at < end && asking.more(!sectors.empty())) {
      auto ask = static_cast<uint32_t>(std::min<uint64_t>(end - at, UINT32_MAX / sector * sector));
      for (const auto &extent : next.extents(ask, at)) {
        if (honest_) {
          sectors.feed(extent);
        } else {
          show(extent, *owed_, settings_.zeroes, [&](const auto &shown) { sectors.feed(shown); });
        }
        at = extent.end();
      }
    }
    if (at == size) sectors.end_of_disk();
  }

 private:
  const Settings &settings_;
  const bool honest_;
  std::shared_ptr<const extents::RangeSet> owed_;  // nothing in an honest export
};

class Filter {
 public:
  static constexpr const char *name = "delta";
  static constexpr const char *longname = "nbdkit delta filter";
  static constexpr const char *description =
      "show NBD clients only what has to be copied, at the source";
  static constexpr const char *config_help =
      "delta-owed=<FILE>|<DIR>/   Also show what this state file, or a directory of\n"
      "                           them, says is owed.\n"
      "delta-zeroes=zero|data     How to show what has become zero (default: zero).";

  bool config(const std::string &key, const std::string &value) {
    if (key == "delta-owed") {
      owed_path_ = nbdkit::absolute_path(value);
    } else if (key == "delta-zeroes") {
      settings_.zeroes = Zeroes(nbdkit::parse_choice(key, value, {"zero", "data"}));
    } else {
      return false;
    }
    return true;
  }

  void get_ready(int) {
    if (!owed_path_.empty()) settings_.owed = Owed::load(owed_path_);
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
    return std::make_unique<Connection>(settings_, wanted.honest);
  }

 private:
  std::string owed_path_;
  Settings settings_;
};

}  // namespace

}  // namespace delta

REPLICATE_REGISTER_FILTER(delta::Filter)
