// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/pull_server.hpp"

#include <cerrno>
#include <chrono>
#include <utility>

#include "common/replication/state_lock.hpp"
#include "common/util/error.hpp"

namespace pull {

namespace {

std::optional<util::FileLock> lock_state(const Settings &settings) {
  if (settings.copy) return std::nullopt;
  return replication::lock_state("pull-state", settings.state_path);
}

FoundSource found(nbd::Pool &pool, const util::Log &log) {
  return {pool.info().size, replication::parse_description(pool.info().description),
          [&](const auto &add) {
            pool.add_connections(RemoteServer::connections_for_map, log);
            pool.read_map(add);
          }};
}

// Of a state that owes nothing.
std::string not_needed(const std::string &path, const std::string &why, bool other_disk) {
  return fmt::format("pull-state={}: {}{}: nothing is owed, and nothing is fetched from it", path,
                     why, other_disk ? "" : ", but not what has changed between them");
}
std::string not_compared(const replication::State &state, const std::string &path,
                         const std::string &why) {
  const std::string as_of =
      state.checkpoint.empty() ? "it is" : fmt::format("of \"{}\"", state.checkpoint);
  return fmt::format(
      "{}; pull-state={}: nothing is owed, and what is here stays as {}: whether something has "
      "changed since is not known",
      why, path, as_of);
}

// There is no server: a state that owes nothing needs none.
bool is_absent(const util::Error &e) {
  return e.errnum() == ENOENT || e.errnum() == ECONNREFUSED;
}

}  // namespace

PullServer::PullServer(Settings settings, util::Log log, std::function<void()> end)
    : settings_(std::move(settings)),
      log_(std::move(log)),
      end_(std::move(end)),
      lock_(lock_state(settings_)),
      state_(read_state(settings_, log_)),
      presence_(state_.owed),
      map_(state_.header.size, state_.changes_only),
      memory_(settings_.memory),
      saver_(settings_.state_path, state_.header, presence_),
      remote_(settings_.uri, settings_.connections, settings_.patience, check(), log_),
      image_({.module = "pull",
              .state_path = settings_.state_path,
              .expected = state_.header.image,
              .any = settings_.any_image,
              .whole_disk = state_.is_new,
              .checkpoints = {state_.held, state_.header.checkpoint}},
             log_),
      stats_(
          "pull-stats", settings_.stats_path,
          [this] { return prometheus_text(counters_, gauges()); }, log_) {
  for (const extents::Extent &extent : std::exchange(state_.map, {})) map_.append(extent);
  log_.info("pull: {} of {} bytes are owed", presence_.owed_bytes(), size());
  stats_.write();
}

PullServer::~PullServer() {
  stop();
  stats_.write_anyway();
}

PullState PullServer::read_state(const Settings &settings, const util::Log &log) {
  if (settings.copy) {
    std::optional<PullState> copy;
    RemoteServer::probe(settings.uri, settings.patience, log,
                        [&](nbd::Pool &pool) { copy = begin_copy(found(pool, log)); });
    return *std::move(copy);
  }
  const auto old = replication::load_state(settings.state_path);
  // A state that owes nothing needs no source, unless that shows what has changed since.
  const bool is_whole = old && old->owed.empty();
  if (is_whole && replication::is_written(*old)) {
    return begin_state(settings.state_path, old, {}, "");
  }
  std::optional<PullState> state;
  std::string unreachable;
  bool is_there = false;
  try {
    RemoteServer::probe(settings.uri, settings.patience, log, [&](nbd::Pool &pool) {
      is_there = true;
      state = begin_state(settings.state_path, old, found(pool, log), "");
      const nbd::Info &info = pool.info();
      const std::string why = difference(state->header, info.size, info.description);
      const bool other = !other_disk(state->header, info.size, info.description).empty();
      if (!why.empty()) log.warning("{}", not_needed(settings.state_path, why, other));
    });
  } catch (const util::Error &e) {
    // What has changed at a source that is there is not left out because its map cannot be read.
    if (e.errnum() == EINVAL || !old || is_there) throw;
    unreachable = e.what();
    if (is_whole && !is_absent(e))
      log.warning("{}", not_compared(*old, settings.state_path, e.what()));
  }
  if (!state) {
    state = begin_state(settings.state_path, old, {}, unreachable);
    if (!is_whole) log.warning("{}; what is here can be used meanwhile", unreachable);
  }
  return *std::move(state);
}

RemoteServer::Check PullServer::check() const {
  return [this](const nbd::Info &info) {
    std::string why = difference(state_.header, info.size, info.description);
    const auto source = replication::parse_description(info.description);
    // Its holes mean "not changed", and were taken for zeroes.
    if (why.empty() && !state_.changes_only && source && source->mode == "delta") {
      why = "it shows only what has changed, and not the whole disk any more";
    }
    if (why.empty()) return;
    util::fail(ESTALE, "pull-from={}: the source is not the one that was there at the start: {}",
               settings_.uri, why);
  };
}

void PullServer::check_below(const Below &below) {
  if (!below.can_write)
    util::fail(EROFS, "pull: the layer below is read-only: it must be writable");
  if (below.size < size()) {
    util::fail(EINVAL, "pull: the layer below has {} bytes, less than the source's {}: {}",
               below.size, size(), replication::enlarge(size()));
  }
  if (size() % below.minimum_block != 0 || settings_.chunk % below.minimum_block != 0) {
    util::fail(EINVAL,
               "pull: the layer below takes only blocks of {} bytes, and the source has {} bytes",
               below.minimum_block, size());
  }
  if (settings_.copy) return;
  const std::string contradiction = image_.contradiction(below.description);
  if (!contradiction.empty()) util::fail(EINVAL, "pull: {}", contradiction);
}

void PullServer::read_ahead() {
  if (presence_.owed_bytes() > 0 && map_.known() < size()) map_reader_.emplace(remote_, map_, log_);
}

void PullServer::start(std::unique_ptr<LocalDisk> local, const Below &below) {
  check_below(below);
  if (!settings_.copy) saver_.begin(image_.accept(below.description));
  local_ = std::move(local);
  fetcher_.emplace(presence_, changes_, *local_, remote_, memory_, counters_);
  if (below.flush_covers_all) shared_scope_.emplace(presence_);
  if (presence_.owed_bytes() == 0) {
    whole_ = true;
    log_.info("pull: nothing is owed; the source is not needed");
    if (settings_.copy) end_();
    return;
  }
  start_threads();
}

void PullServer::start_threads() {
  std::function<void()> flush_clients;
  if (shared_scope_) flush_clients = [this] { shared_scope_->flush(*local_, saver_); };
  std::function<void(const std::string &)> give_up;
  if (settings_.copy) give_up = [this](const std::string &why) { this->give_up(why); };
  progress_saver_ = std::make_unique<ProgressSaver>(
      ProgressSaver::Parts{presence_, *local_, remote_, saver_}, std::move(flush_clients),
      [this] { end_of_fetching(); }, give_up, log_);
  workers_ = std::make_unique<FetchWorkers>(
      settings_, size(), FetchWorkers::Parts{presence_, *fetcher_, map_, give_up}, log_);
  if (map_reader_) map_reader_->when_known([this] { workers_->note_map(); });
}

void PullServer::end_of_fetching() {
  whole_ = true;
  remote_.close();
  memory_.drop_spares();
  log_.info("pull: nothing is owed any more; the connections to the source are closed");
  stats_.write_anyway();
  if (settings_.copy) end_();
}

// Called by any of the threads, which goes on until stop().
void PullServer::give_up(const std::string &why) {
  if (given_up_.exchange(true)) return;
  if (!why.empty()) log_.error("pull: the copy is given up: {}", why);
  end_();
}

void PullServer::stop() {
  if (workers_)
    workers_->stop();  // or they would begin one chunk after the other, each of which ends at once
  remote_.interrupt();
  map_reader_.reset();
  workers_.reset();
  progress_saver_.reset();
  shared_scope_.reset();
  fetcher_.reset();
  // Before the layer below, which may ask the source when it is closed: one that ends does not answer, and waits for
  // these connections to be closed.
  remote_.close();
  local_.reset();
}

std::unique_ptr<PullClient> PullServer::join(LocalDisk &local) {
  return std::make_unique<PullClient>(
      PullClient::Parts{local, presence_, changes_, map_, *fetcher_, workers_.get(), saver_,
                        counters_, waiting_, whole_},
      shared_scope_ ? &*shared_scope_ : nullptr);
}

Gauges PullServer::gauges() const {
  return {size(), presence_.missing_bytes(), presence_.owed_bytes(), remote_.connected(),
          remote_.retries()};
}

void PullServer::tick() noexcept {
  stats_.write_if_due();
  const Gauges now = gauges();
  std::string line = fmt::format("pull: {} of {} bytes are here; {} bytes were fetched",
                                 now.size - now.missing, now.size, counters_.fetched.load());
  if (line == progress_) return;
  log_.info("{}", line);
  progress_ = std::move(line);
}

}  // namespace pull
