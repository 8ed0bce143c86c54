// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-coalesce-filter: turns many small reads into few large parallel ones, ahead of the client.
#include "common/nbdkit/filter.hpp"

#include <bit>
#include <optional>
#include <string>

#include "common/stats/stats_file.hpp"
#include "filters/coalesce/shared_engines.hpp"
#include "filters/coalesce/next_connection.hpp"
#include "filters/coalesce/parameters.hpp"

namespace coalesce {

namespace {

constexpr auto no_background =
    "coalesce: the layers below handle one request at a time, so nothing is read ahead: small "
    "reads become large ones, but not parallel ones";

class Connection {
 public:
  Connection(const Parameters &parameters, int thread_model, Exports &exports,
             stats::StatsFile &stats, nbdkit::Backend backend, const std::string &name, bool is_tls)
      : parameters_(parameters),
        thread_model_(thread_model),
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
    return thread_model_ == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS && shared && name_.empty();
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
    bool background = thread_model_ == NBDKIT_THREAD_MODEL_PARALLEL || own_connections(shared);
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
  const int thread_model_;
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
  static constexpr const char *config_help = Parameters::help;

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.check(); }

  void get_ready(int thread_model) {
    thread_model_ = thread_model;
    exports_.emplace(parameters_.memory);
    stats_.emplace(
        "coalesce-stats", parameters_.stats_path,
        [this] { return prometheus_text(exports_->counters(), exports_->budget().used()); },
        nbdkit::log());
    stats_->write();
    if (parameters_.prefetch && thread_model < NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS) {
      if (parameters_.priority.empty()) {
        nbdkit::log().info("{}", no_background);
      } else {
        nbdkit::log().warning("{}; coalesce-priority has no effect", no_background);
      }
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
    return std::make_unique<Connection>(parameters_, thread_model_, *exports_, *stats_,
                                        opener.backend(), name, is_tls);
  }

 private:
  Parameters parameters_;
  int thread_model_ = NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS;  // what all layers agree on
  std::optional<Exports> exports_;
  std::optional<stats::StatsFile> stats_;
};

}  // namespace

}  // namespace coalesce

REPLICATE_REGISTER_FILTER(coalesce::Filter)
