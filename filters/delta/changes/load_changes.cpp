// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/load_changes.hpp"

#include <cerrno>
#include <fstream>
#include <optional>

#include "common/extents/map_json.hpp"
#include "common/nbd/pool.hpp"
#include "common/nbd/uri.hpp"
#include "common/replication/source_description.hpp"
#include "common/util/error.hpp"
#include "filters/delta/changes/context.hpp"
#include "filters/delta/changes/range_list.hpp"

namespace delta {

namespace {

// Turns the flags of one context into "has changed". Of base:allocation a hole has not changed, but where
// the map has holes that are not zero: those are honest extents (nbdkit-replicate-delta(7)), of which a hole
// that is zero has changed. Which of the two it is shows only at the end.
class FlagReader {
 public:
  explicit FlagReader(Context context) : context_(context) {}

  void add(uint64_t length, extents::Type type) {
    if (type == extents::hole) honest_ = true;
    raw_.append(length, kind(type));
  }

  ChangeMap result() const {
    ChangeMap changes;
    raw_.for_each({0, raw_.size()}, [&](const extents::Extent &e) {
      changes.append(e.length, e.type == yes || (e.type == hole_and_zero && honest_));
      return true;
    });
    return changes;
  }

 private:
  enum : extents::Type { no, yes, hole_and_zero };

  extents::Type kind(extents::Type type) const {
    switch (context_) {
      case Context::dirty_bitmap:
        return (type & 1) != 0 ? yes : no;
      case Context::allocation_depth:
        return type == 1 ? yes : no;
      case Context::allocation:
        if ((type & extents::hole) == 0) return yes;
        return (type & extents::zero) != 0 ? hole_and_zero : no;
    }
    return yes;
  }

  const Context context_;
  bool honest_ = false;
  extents::FrozenMap raw_;
};

[[noreturn]] void refuse_context(const std::string &origin, const std::string &context) {
  util::fail(
      EINVAL,
      "{}: delta-map-context={} is none that tells what has changed: give qemu:dirty-bitmap:NAME, "
      "qemu:allocation-depth or base:allocation",
      origin, context);
}

ChangeMap load_from_server(const MapLocation &location, const MapTimeouts &timeouts,
                           const util::Log &log) {
  constexpr unsigned connections = 4;
  const std::string origin = location.origin();
  nbd::Options options;
  options.uri = location.value;
  options.name = origin;
  options.connect_timeout = timeouts.connect;
  options.request_timeout = timeouts.request;
  options.context = location.context.empty() ? nbd::base_allocation : location.context;
  const auto context = context_of(options.context);
  if (!context) refuse_context(origin, options.context);
  nbd::Pool pool(options, connections, log);
  if (replication::parse_description(pool.info().description)) {
    util::fail(
        EINVAL,
        "{}: that server tells what has changed itself: copy from it, without delta-map=", origin);
  }
  if (!pool.info().can_extents) {
    util::fail(ENOTSUP,
               "{}: the server does not offer the metadata context {} (`nbdinfo --list` shows "
               "those that it "
               "offers; qemu-nbd --bitmap=NAME offers a bitmap)",
               origin, options.context);
  }
  FlagReader reader(*context);
  pool.read_map([&](const extents::Extent &e) { reader.add(e.length, e.type); });
  return reader.result();
}

// The context may be told by the parameter, and else by what the entries say.
ChangeMap load_from_json(const MapLocation &location) {
  const std::string origin = location.origin();
  std::optional<Context> context;
  if (!location.context.empty()) {
    context = context_of(location.context);
    if (!context) refuse_context(origin, location.context);
  }
  std::optional<FlagReader> reader;
  extents::load_context_map(location.value, origin,
                            [&](const extents::Extent &e, const std::string &description) {
                              if (!context) context = context_of_description(description);
                              if (!context) {
                                util::fail(EINVAL,
                                           "{}: the entry at offset {} does not say what its type "
                                           "means (description \"{}\"): give "
                                           "delta-map-context=",
                                           origin, e.offset, description);
                              }
                              if (!reader) reader.emplace(*context);
                              reader->add(e.length, e.type);
                            });
  return reader ? reader->result() : ChangeMap();
}

}  // namespace

std::string MapLocation::origin() const {
  return "delta-map=" + (is_uri() ? nbd::name_of_uri(value) : value);
}

ChangeMap load_changes(const MapLocation &location, const MapTimeouts &timeouts,
                       const util::Log &log) {
  if (location.is_uri()) return load_from_server(location, timeouts, log);
  std::ifstream file(location.value);
  if (!file) util::fail_os(errno, "{}: cannot open the file", location.origin());
  file >> std::ws;
  if (file.peek() == '[') return load_from_json(location);
  if (!location.context.empty()) {
    util::fail(EINVAL,
               "{}: is a list of offsets and lengths, for which delta-map-context= has no meaning",
               location.origin());
  }
  return ChangeMap::of_list(read_range_list(file, location.origin()), location.origin());
}

}  // namespace delta
