// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-pull-filter: serves a disk at once, and brings it over meanwhile.
#include "common/nbdkit/filter.hpp"

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/nbd/handshake.hpp"
#include "common/nbdkit/end_watch.hpp"
#include "common/stats/ticker.hpp"
#include "common/util/error.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/next_layer.hpp"
#include "filters/pull/parameters.hpp"
#include "filters/pull/pull_server.hpp"

namespace pull {

namespace {

class Connection {
 public:
  // all: as in nbdkit::RequestLock.
  Connection(PullServer &server, int thread_model, util::Mutex &all)
      : server_(server), lock_(thread_model, all) {}

  // nbdkit's `next` stays the same until finalize.
  void prepare(nbdkit::Next next, bool) {
    next_layer_.emplace(next, lock_);
    client_ = server_.join(*next_layer_);
  }

  // What the client has written is made durable where no other's flush covers it. Not in the destructor: nbdkit does
  // not call close() after SIGTERM.
  void finalize() {
    auto client = std::move(client_);
    if (client && can().write) client->flush();
  }

  bool can_flush(nbdkit::Next) { return true; }  // the state is saved in any case
  nbdkit::Fua can_fua(nbdkit::Next) { return nbdkit::Fua::native; }
  bool can_multi_conn(nbdkit::Next) { return can().flush_covers_all(); }
  bool can_extents(nbdkit::Next) { return true; }
  // LowerDisk writes zeroes where the layer below cannot zero.
  nbdkit::Zero can_zero(nbdkit::Next) { return nbdkit::Zero::native; }
  bool can_fast_zero(nbdkit::Next) { return can().fast_zero; }
  bool can_trim(nbdkit::Next) { return can().native_zero; }
  // What a client wants to have near is fetched.
  nbdkit::Cache can_cache(nbdkit::Next) { return nbdkit::Cache::native; }

  void pread(nbdkit::Next, std::span<std::byte> buffer, uint64_t offset) {
    client_->read(buffer, offset);
  }
  void pwrite(nbdkit::Next, std::span<const std::byte> buffer, uint64_t offset, uint32_t flags) {
    client_->write(buffer, offset, is_durable(flags));
  }
  void zero(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    const auto hole =
        (flags & NBDKIT_FLAG_MAY_TRIM) != 0 ? LocalDisk::Hole::allowed : LocalDisk::Hole::keep;
    if ((flags & NBDKIT_FLAG_FAST_ZERO) != 0) {
      client_->fast_zero({offset, count}, hole, is_durable(flags));
    } else {
      client_->zero({offset, count}, hole, is_durable(flags));
    }
  }
  // Trimmed bytes may read as anything. A zero that may leave a hole is as cheap, and its result is known.
  void trim(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t flags) {
    client_->zero({offset, count}, LocalDisk::Hole::allowed, is_durable(flags));
  }
  void flush(nbdkit::Next) { client_->flush(); }
  void extents(nbdkit::Next, uint32_t count, uint64_t offset, uint32_t, nbdkit::ExtentList &list) {
    for (const auto &extent : client_->extents({offset, count})) list.add(extent);
  }
  void cache(nbdkit::Next, uint32_t count, uint64_t offset) { client_->cache({offset, count}); }

 private:
  static bool is_durable(uint32_t flags) { return (flags & NBDKIT_FLAG_FUA) != 0; }
  const nbdkit::LowerAbilities &can() const { return next_layer_->can(); }

  PullServer &server_;
  nbdkit::RequestLock lock_;
  std::optional<NextLayer> next_layer_;
  std::unique_ptr<PullClient> client_;
};

class Filter {
 public:
  static constexpr const char *name = "pull";
  static constexpr const char *longname = "nbdkit pull filter";
  static constexpr const char *description = "serve a disk at once, and bring it over meanwhile";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() { return {{"libnbd", nbd::library_version()}}; }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  void get_ready(int thread_model) {
    if (thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS) {
      util::fail(EINVAL,
                 "pull: the layer below serves one connection at a time, and the filter needs one "
                 "of its own");
    }
    thread_model_ = thread_model;
    server_ = std::make_unique<PullServer>(parameters_.settings, nbdkit::log(),
                                           [] { nbdkit_shutdown(); });
  }

  // A failure is told to each client too: with --run nbdkit would let it wait for ever if this failed.
  void after_fork(nbdkit::Backend backend) {
    try {
      server_->read_ahead();  // to open the layer below may take long
      auto local = std::make_unique<BackgroundDisk>(backend, thread_model_, serial_);
      const PullServer::Below below = local->below();
      server_->start(std::move(local), below);
    } catch (const util::Error &e) {
      failure_ = e.what();
    } catch (const nbdkit::Reported &) {
      failure_ = "pull: the layer below cannot be opened without a client";
    }
    if (!failure_.empty()) fail_after_fork();
    ticker_.emplace(std::chrono::seconds(2), [this] { server_->tick(); });
    end_watch_.emplace(server_->waiting_clients(), [this] { server_->interrupt(); });
  }
  void cleanup(nbdkit::Backend) {
    end_watch_.reset();
    ticker_.reset();
    server_->stop();
  }

  // A state file belongs to one disk, so there is one export, the default one.
  void list_exports(nbdkit::LowerExports &, bool, bool, nbdkit::ExportList &list) { list.add(""); }

  std::unique_ptr<Connection> open(nbdkit::Opener &opener, bool readonly,
                                   const std::string &export_name, bool) {
    if (!failure_.empty()) util::fail(EINVAL, "{}", failure_);
    if (parameters_.settings.copy) {
      util::fail(EINVAL,
                 "pull: this server copies for itself (pull-copy=on) and serves no clients");
    }
    if (!export_name.empty()) {
      util::fail(ENOENT,
                 "there is no export \"{}\": a pull filter has one disk, the default export; "
                 "connect without a name",
                 export_name);
    }
    opener.next(readonly, export_name);
    return std::make_unique<Connection>(*server_, thread_model_, serial_);
  }

 private:
  // A copy has no clients to be told.
  void fail_after_fork() {
    nbdkit::log().error("{}", failure_);
    if (parameters_.settings.copy) nbdkit_shutdown();
  }

  Parameters parameters_;
  int thread_model_ = NBDKIT_THREAD_MODEL_PARALLEL;
  util::Mutex serial_;  // for a plugin that takes one request at a time, over all connections
  std::unique_ptr<PullServer> server_;
  std::string failure_;  // why it could not start after the fork
  std::optional<stats::Ticker> ticker_;
  std::optional<nbdkit::EndWatch> end_watch_;
};

}  // namespace

}  // namespace pull

REPLICATE_REGISTER_FILTER(pull::Filter)
