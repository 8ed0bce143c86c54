// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-coalesce-filter: turns many small reads into few large parallel ones, ahead of the client.
#include "common/nbdkit/filter.hpp"

#include <bit>
#include <optional>
#include <string>

#include "common/nbdkit/params.hpp"
#include "common/stats/stats_file.hpp"
#include "common/util/error.hpp"
#include "filters/coalesce/exports.hpp"

namespace coalesce {

namespace {

// The layer below, as the engine sees it: a connection's own, or one opened for a worker.
class LowerReader : public Reader {
 public:
  LowerReader(nbdkit::Next next, bool can_extents) : next_(next), can_extents_(can_extents) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override { next_.pread(buffer, offset); }
  std::vector<extents::Extent> extents(extents::Range range) override {
    if (!can_extents_) return {{range.offset, range.length, extents::data}};
    return next_.extents(static_cast<uint32_t>(range.length), range.offset);
  }

 private:
  nbdkit::Next next_;
  bool can_extents_;
};

class WorkerReader : public Reader {
 public:
  explicit WorkerReader(nbdkit::Backend backend)
      : background_(backend, true, ""),
        reader_(background_.next(), background_.next().can_extents()) {}
  void pread(std::span<std::byte> buffer, uint64_t offset) override {
    reader_.pread(buffer, offset);
  }
  std::vector<extents::Extent> extents(extents::Range range) override {
    return reader_.extents(range);
  }

 private:
  nbdkit::BackgroundNext background_;
  LowerReader reader_;
};

struct Parameters {
  uint64_t gap = 1u << 20;
  uint64_t chunk = 4u << 20;
  uint64_t memory = 64u << 20;
  unsigned workers = 4;
  bool prefetch = true;
  bool merged = false;  // coalesce-extents
  std::vector<extents::Range> priority;
  std::string stats_path;
  int thread_model = NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS;
};

constexpr auto no_background =
    "coalesce: the layers below handle one request at a time, so nothing is read ahead: small "
    "reads "
    "become large ones, but not parallel ones";

// OFFSET-END[,OFFSET-END...]
std::vector<extents::Range> parse_ranges(const std::string &key, const std::string &value) {
  constexpr uint64_t most = INT64_MAX;
  std::vector<extents::Range> list;
  for (size_t at = 0; at <= value.size();) {
    const size_t comma = std::min(value.find(',', at), value.size());
    const std::string one = value.substr(at, comma - at);
    const size_t dash = one.find('-');
    if (dash == 0 || dash == std::string::npos || dash + 1 == one.size()) {
      util::fail(EINVAL, "{}={}: \"{}\" must be OFFSET-END, such as 0-1M", key, value, one);
    }
    uint64_t offset = nbdkit::parse_size(key, one.substr(0, dash), 0, most);
    uint64_t end = nbdkit::parse_size(key, one.substr(dash + 1), 0, most);
    if (end <= offset) {
      util::fail(EINVAL, "{}={}: \"{}\" must end after it begins", key, value, one);
    }
    list.push_back({offset, end - offset});
    at = comma + 1;
  }
  return list;
}

class Connection {
 public:
  Connection(const Parameters &parameters, Exports &exports, stats::StatsFile &stats,
             nbdkit::Backend backend, const std::string &name, bool is_tls)
      : parameters_(parameters),
        exports_(exports),
        stats_(stats),
        backend_(backend),
        name_(name),
        key_((is_tls ? "tls/" : "plain/") + name) {}
  ~Connection() { leave(); }

  void prepare(nbdkit::Next next, bool) {
    reader_.emplace(next, next.can_extents());
    uint64_t size = next.get_size();
    bool shared = next.can_multi_conn();
    engine_ = exports_.join(key_, size, shared, [&](Budget &budget, Counters &counters) {
      return std::make_shared<Engine>(settings(next, shared), budget, counters, nbdkit::log(),
                                      make_reader(shared));
    });
    engine_->attach(*reader_);
  }
  void finalize(nbdkit::Next) { leave(); }

  void pread(nbdkit::Next, std::span<std::byte> buffer, uint64_t offset) {
    engine_->read(*reader_, buffer, offset);
    stats_.write_if_due();
  }
  void extents(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags,
               nbdkit::ExtentList &list) {
    const extents::Range range{offset, count};
    auto found = parameters_.merged
                     ? engine_->merged_extents(*reader_, range)
                     : engine_->extents(*reader_, range, (flags & NBDKIT_FLAG_REQ_ONE) != 0);
    for (const auto &extent : found) list.add(extent);
  }

  void pwrite(nbdkit::Next next, std::span<const std::byte> buffer, uint64_t offset,
              uint32_t flags) {
    Written written(*this, {offset, buffer.size()});
    next.pwrite(buffer, offset, flags);
  }
  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    Written written(*this, {offset, count});
    next.trim(count, offset, flags);
  }
  void zero(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    Written written(*this, {offset, count});
    next.zero(count, offset, flags);
  }

 private:
  // What was read ahead of this range is forgotten once the write is over, even if it has failed.
  struct Written {
    Written(Connection &c, extents::Range r) : connection(c), range(r) {}
    ~Written() { connection.exports_.invalidate(connection.key_, range); }
    Connection &connection;
    extents::Range range;
  };

  // Background threads bypass nbdkit's request lock. So they may use the clients' own connections
  // only where the layer below is parallel; where requests are serialised per connection they need
  // connections of their own, which must show the same disk and can only be to the default export.
  bool own_connections(bool shared) const {
    return parameters_.thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS && shared &&
           name_.empty();
  }
  Engine::MakeReader make_reader(bool shared) const {
    if (!own_connections(shared)) return {};
    return [backend = backend_] { return std::make_unique<WorkerReader>(backend); };
  }

  Settings settings(nbdkit::Next next, bool shared) const {
    Settings s;
    s.size = next.get_size();
    s.gap = parameters_.gap;
    nbdkit::BlockSize block = next.block_size();
    s.block = std::bit_floor(std::max(block.minimum, 1u));
    s.chunk = parameters_.chunk;
    if (block.maximum != 0) s.chunk = std::min<uint64_t>(s.chunk, block.maximum);
    s.chunk = std::max(s.chunk - s.chunk % s.block, s.block);
    bool background =
        parameters_.thread_model == NBDKIT_THREAD_MODEL_PARALLEL || own_connections(shared);
    s.workers = parameters_.prefetch && background ? parameters_.workers : 0;
    s.priority = parameters_.priority;
    return s;
  }

  void leave() {
    if (!engine_) return;
    engine_->detach(*reader_);
    exports_.leave(engine_);
  }

  const Parameters &parameters_;
  Exports &exports_;
  stats::StatsFile &stats_;
  nbdkit::Backend backend_;
  const std::string name_;  // of the export
  const std::string key_;   // of the engine
  std::optional<LowerReader> reader_;
  std::shared_ptr<Engine> engine_;
};

class Filter {
 public:
  static constexpr const char *name = "coalesce";
  static constexpr const char *longname = "nbdkit coalesce filter";
  static constexpr const char *description =
      "turn many small reads into few large parallel ones, ahead of the client";
  static constexpr const char *config_help =
      "coalesce-gap=<SIZE>        Read along gaps up to this (default: 1M).\n"
      "coalesce-chunk=<SIZE>      Read at most this at a time, 64K to 32M (default: 4M).\n"
      "coalesce-workers=<N>       Read so many at a time ahead of the client (default: 4).\n"
      "coalesce-memory=<SIZE>     Limit of what is held in memory (default: 64M).\n"
      "coalesce-prefetch=on|off   Read ahead in the background (default: on).\n"
      "coalesce-priority=<RANGES> Read these first: OFFSET-END[,OFFSET-END...].\n"
      "coalesce-extents=exact|merged\n"
      "                           Whether clients see short gaps as data (default: exact).\n"
      "coalesce-stats=<FILE>      Counters for Prometheus.";

  bool config(const std::string &key, const std::string &value) {
    if (key == "coalesce-gap") {
      parameters_.gap = nbdkit::parse_size(key, value, 0, uint64_t{1} << 40);
    } else if (key == "coalesce-chunk") {
      parameters_.chunk = nbdkit::parse_size(key, value, 64u << 10, 32u << 20);
    } else if (key == "coalesce-workers") {
      parameters_.workers = nbdkit::parse_unsigned(key, value, 1, 64);
    } else if (key == "coalesce-memory") {
      parameters_.memory = nbdkit::parse_size(key, value, 64u << 10, uint64_t{1} << 40);
    } else if (key == "coalesce-prefetch") {
      parameters_.prefetch = nbdkit::parse_bool(key, value);
    } else if (key == "coalesce-priority") {
      parameters_.priority = parse_ranges(key, value);
    } else if (key == "coalesce-extents") {
      parameters_.merged = nbdkit::parse_choice(key, value, {"exact", "merged"}) == 1;
    } else if (key == "coalesce-stats") {
      parameters_.stats_path = nbdkit::absolute_path(value);
    } else {
      return false;
    }
    return true;
  }

  void config_complete() {
    if (parameters_.memory < parameters_.chunk) {
      util::fail(
          EINVAL,
          "coalesce-memory={}: must be at least coalesce-chunk, which is {} bytes; give more "
          "memory or smaller chunks",
          parameters_.memory, parameters_.chunk);
    }
    uint64_t priority = 0;
    for (const auto &range : parameters_.priority) priority += range.length;
    if (priority > 0 && !parameters_.prefetch) {
      util::fail(EINVAL, "coalesce-priority needs coalesce-prefetch=on: leave one of them out");
    }
    if (priority > parameters_.memory / 2) {
      util::fail(EINVAL,
                 "coalesce-priority: the ranges are {} bytes, at most half of coalesce-memory, {} "
                 "bytes, can be kept for them",
                 priority, parameters_.memory / 2);
    }
  }

  void get_ready(int thread_model) {
    parameters_.thread_model = thread_model;
    exports_.emplace(parameters_.memory);
    stats_.emplace(
        "coalesce-stats", parameters_.stats_path,
        [this] { return prometheus_text(exports_->counters(), exports_->budget().used()); },
        nbdkit::log());
    stats_->write();
    if (parameters_.prefetch && thread_model < NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS) {
      if (parameters_.priority.empty())
        nbdkit::log().info("{}", no_background);
      else
        nbdkit::log().warning("{}; coalesce-priority has no effect", no_background);
    }
  }
  ~Filter() {
    if (stats_) stats_->write_anyway();
    if (exports_ && exports_->counters().requests > 0) {
      nbdkit::log().info("coalesce: {}", summary(exports_->counters()));
    }
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly, const std::string &name,
                                   bool is_tls) {
    opener.next(readonly, name);
    return std::make_unique<Connection>(parameters_, *exports_, *stats_, opener.backend(), name,
                                        is_tls);
  }

 private:
  Parameters parameters_;
  std::optional<Exports> exports_;
  std::optional<stats::StatsFile> stats_;
};

}  // namespace

}  // namespace coalesce

REPLICATE_REGISTER_FILTER(coalesce::Filter)
