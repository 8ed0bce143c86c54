// SPDX-License-Identifier: BSD-3-Clause
#include "filters/delta/changes/load_changes.hpp"

#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "common/extents/map_json.hpp"
#include "common/nbd/pool.hpp"
#include "common/nbd/uri.hpp"
#include "common/replication/source_description.hpp"
#include "common/util/error.hpp"
#include "filters/delta/changes/context.hpp"
#include "filters/delta/changes/range_list.hpp"

namespace delta {

namespace {

// Turns the flags of one context into "has changed". base:allocation tells that only as honest extents do
// (nbdkit-replicate-delta(7)): a hole has not changed, a hole that is zero has become zero. Most servers show
// all holes as zero, also those of a layer that has nothing there.
class FlagReader {
 public:
  FlagReader(Context context, std::string origin) : context_(context), origin_(std::move(origin)) {}

  void add(uint64_t length, extents::Type type) {
    if (type == extents::hole) holes_ = true;
    if (type == (extents::hole | extents::zero)) zero_holes_ = true;
    changes_.append(length, has_changed(type));
  }

  // Throws util::Error EINVAL if the map does not tell.
  ChangeMap result() && {
    if (context_ == Context::allocation && zero_holes_ && !holes_) {
      util::fail(EINVAL,
                 "{}: with base:allocation all holes of that map are zero, so what has become zero "
                 "cannot be told from what has not changed: use qemu:allocation-depth (qemu-nbd "
                 "--allocation-depth) or qemu:dirty-bitmap:NAME",
                 origin_);
    }
    return std::move(changes_);
  }

 private:
  bool has_changed(extents::Type type) const {
    switch (context_) {
      case Context::dirty_bitmap:
        return (type & 1) != 0;
      case Context::allocation_depth:
        return type == 1;
      case Context::allocation:
        return type != extents::hole;
    }
    return true;
  }

  const Context context_;
  const std::string origin_;  // for messages
  bool holes_ = false, zero_holes_ = false;
  ChangeMap changes_;
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
  constexpr const char *default_context = "qemu:allocation-depth";
  const std::string origin = location.origin();
  nbd::Options options;
  options.uri = location.value;
  options.name = origin;
  options.connect_timeout = timeouts.connect;
  options.request_timeout = timeouts.request;
  options.context = location.context.empty() ? default_context : location.context;
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
               "those that it offers; qemu-nbd offers a bitmap with --bitmap=NAME, and "
               "qemu:allocation-depth with --allocation-depth)",
               origin, options.context);
  }
  FlagReader reader(*context, origin);
  pool.read_map([&](const extents::Extent &e) { reader.add(e.length, e.type); });
  return std::move(reader).result();
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
                              if (!reader) reader.emplace(*context, origin);
                              reader->add(e.length, e.type);
                            });
  return reader ? std::move(*reader).result() : ChangeMap();
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
