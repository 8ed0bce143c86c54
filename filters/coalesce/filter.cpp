// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-coalesce-filter: turns many small reads into few large parallel ones, ahead of the client.
#include "common/nbdkit/filter.hpp"

#include <optional>
#include <string>
#include <utility>

#include "common/stats/stats_file.hpp"
#include "filters/coalesce/next_connection.hpp"
#include "filters/coalesce/parameters.hpp"
#include "filters/coalesce/shared_engines.hpp"

namespace coalesce {

namespace {

constexpr auto no_background =
    "coalesce: the layers below handle one request at a time, so nothing is read ahead: small "
    "reads are combined into large ones, but not in parallel";

// One client.
class Connection {
 public:
  Connection(const Parameters &parameters, int thread_model, SharedEngines &engines,
             stats::StatsFile &stats, nbdkit::Backend backend, const std::string &name, bool is_tls)
      : parameters_(parameters),
        thread_model_(thread_model),
        engines_(engines),
        stats_(stats),
        backend_(backend),
        name_(name),
        key_((is_tls ? "tls/" : "plain/") + name) {}

  void prepare(nbdkit::Next next, bool) {
    connection_.emplace(next, next.can_extents());
    const bool shared = next.can_multi_conn();
    const Settings s = settings(next, shared);
    engine_ = &engines_.join(key_, s.size, shared, [&](MemoryBudget &budget, Counters &counters) {
      return std::make_unique<Engine>(s, budget, counters, nbdkit::log(), connect(shared));
    });
    engine_->attach(*connection_);
  }
  void finalize() {
    if (!engine_) return;
    engine_->detach(*connection_);
    engines_.leave(*std::exchange(engine_, nullptr));
  }

  void pread(nbdkit::Next, std::span<std::byte> buffer, uint64_t offset) {
    engine_->read(*connection_, buffer, offset);
    stats_.write_if_due();
  }
  void extents(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags,
               nbdkit::ExtentList &list) {
    const extents::Range range{offset, count};
    auto found = parameters_.merged
                     ? engine_->merged_extents(*connection_, range)
                     : engine_->extents(*connection_, range, (flags & NBDKIT_FLAG_REQ_ONE) != 0);
    for (const auto &extent : found) list.add(extent);
  }

  void pwrite(nbdkit::Next next, std::span<const std::byte> buffer, uint64_t offset,
              uint32_t flags) {
    InvalidateAfter written(*this, {offset, buffer.size()});
    next.pwrite(buffer, offset, flags);
  }
  void trim(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    InvalidateAfter written(*this, {offset, count});
    next.trim(count, offset, flags);
  }
  void zero(nbdkit::Next next, uint32_t count, uint64_t offset, uint32_t flags) {
    InvalidateAfter written(*this, {offset, count});
    next.zero(count, offset, flags);
  }

 private:
  // Calls Engine::invalidate() for the range after a write, even if it has failed.
  struct InvalidateAfter {
    InvalidateAfter(Connection &c, extents::Range r) : connection(c), range(r) {}
    ~InvalidateAfter() { connection.engines_.invalidate(range); }
    Connection &connection;
    extents::Range range;
  };

  // The workers bypass nbdkit's request lock, so they may use the clients' connections only if the
  // layer below is parallel. If it handles one request at a time on each connection, each worker opens
  // a connection of its own. The default export is the only one that a worker can open, and all
  // connections must see the same disk.
  bool own_connections(bool shared) const {
    return thread_model_ == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS && shared && name_.empty();
  }
  Workers::Connect connect(bool shared) const {
    if (!own_connections(shared)) return {};
    return [backend = backend_] { return std::make_unique<WorkerConnection>(backend); };
  }

  Settings settings(nbdkit::Next next, bool shared) const {
    bool background = thread_model_ == NBDKIT_THREAD_MODEL_PARALLEL || own_connections(shared);
    return parameters_.settings(next.get_size(), next.block_size(), background);
  }

  const Parameters &parameters_;
  const int thread_model_;
  SharedEngines &engines_;
  stats::StatsFile &stats_;
  nbdkit::Backend backend_;
  const std::string name_;  // of the export
  const std::string key_;   // of the engine in engines_
  std::optional<NextConnection> connection_;
  Engine *engine_ = nullptr;  // of engines_
};

class Filter {
 public:
  static constexpr const char *name = "coalesce";
  static constexpr const char *longname = "nbdkit coalesce filter";
  static constexpr const char *description = "turn many small reads into few large parallel ones";
  static constexpr const char *config_help = Parameters::help;

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  void get_ready(int thread_model) {
    thread_model_ = thread_model;
    engines_.emplace(parameters_.memory);
    stats_.emplace(
        "coalesce-stats", parameters_.stats_path,
        [this] { return prometheus_text(engines_->counters(), engines_->budget().used()); },
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
    if (engines_ && engines_->counters().requests > 0) {
      nbdkit::log().info("coalesce: {}", summary(engines_->counters()));
    }
  }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly, const std::string &name,
                                   bool is_tls) {
    opener.next(readonly, name);
    return std::make_unique<Connection>(parameters_, thread_model_, *engines_, *stats_,
                                        opener.backend(), name, is_tls);
  }

 private:
  Parameters parameters_;
  int thread_model_ = NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS;  // in force, see get_ready()
  std::optional<SharedEngines> engines_;
  std::optional<stats::StatsFile> stats_;
};

}  // namespace

}  // namespace coalesce

REPLICATE_REGISTER_FILTER(coalesce::Filter)
