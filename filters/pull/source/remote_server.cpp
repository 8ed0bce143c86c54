// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/source/remote_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "common/durability/sync_point.hpp"
#include "common/nbd/uri.hpp"
#include "common/replication/source_description.hpp"

namespace pull {

using util::MutexLock;

namespace {

nbd::Options options_for(const std::string &uri, const Patience &patience) {
  nbd::Options options;
  options.name = "pull-from=" + nbd::name_of_uri(uri);
  options.uri = uri;
  options.connect_timeout = patience.connect;
  options.request_timeout = patience.request;
  options.context = nbd::base_allocation;
  return options;
}

// Whole blocks of the server, which are read into a buffer of their own where the range is not made of them.
// kept: as for Pool::pread().
void read_blocks(nbd::Pool &pool, std::span<std::byte> buffer, uint64_t offset, size_t kept) {
  const uint64_t block = pool.info().minimum_block;
  const uint64_t start = offset - offset % block;
  uint64_t end = offset + buffer.size() + block - 1;
  end = std::min(end - end % block, pool.info().size);
  if (start == offset && end == offset + buffer.size()) return pool.pread(buffer, offset, kept);
  std::vector<std::byte> blocks(end - start);
  pool.pread(blocks, start, kept);
  std::copy_n(blocks.begin() + static_cast<ptrdiff_t>(offset - start), buffer.size(),
              buffer.begin());
}

}  // namespace

RemoteServer::RemoteServer(const std::string &uri, unsigned connections, const Patience &patience,
                           Check check, util::Log log)
    : options_(options_for(uri, patience)),
      number_(connections),
      patience_(patience),
      check_(std::move(check)),
      log_(std::move(log)) {
  options_.interrupt = [this] { check_interrupted(); };
}

void RemoteServer::probe(const std::string &uri, const Patience &patience, const util::Log &log,
                         const std::function<void(nbd::Pool &)> &f) {
  nbd::Pool pool(options_for(uri, patience), 1, log, connections_for_map);
  f(pool);
}

// What a client waits for does not stand behind what the background has asked for: one connection is kept for it.
void RemoteServer::read(std::span<std::byte> buffer, uint64_t offset, Waiting waiting) {
  const size_t kept = waiting == Waiting::client ? 0 : 1;
  for (unsigned failures = 0;;) {
    const Connections pool = connections(Until::given_up);
    try {
      return read_blocks(*pool, buffer, offset, kept);
    } catch (const util::Error &e) {
      check_interrupted();
      if (nbd::is_lost(e.errnum())) lost(pool, e);
      if (++failures > patience_.retries) throw;
      if (!nbd::is_lost(e.errnum())) pause(failures);
    }
  }
}

// It does not wait for the other connections: while they are made, what it tells can be read by the first one.
void RemoteServer::read_map(uint64_t from,
                            const std::function<void(const extents::Extent &)> &add) {
  for (unsigned failures = 0;;) {
    const Connections pool = connections(Until::connected);
    try {
      return pool->read_map(
          [&](const extents::Extent &e) {
            add(e);
            from = e.end();
          },
          from);
    } catch (const util::Error &e) {
      check_interrupted();
      if (nbd::is_lost(e.errnum())) lost(pool, e);
      if (++failures > patience_.retries) throw;
      pause(failures);
    }
  }
}

void RemoteServer::confirm() {
  if (!confirms_) return;
  for (unsigned failures = 0;;) {
    try {
      const nbd::Connection connection(options_);
      return check_(connection.info());
    } catch (const util::Error &e) {
      check_interrupted();
      if (e.errnum() == ESTALE) failed(e);
      if (e.errnum() == ESTALE || ++failures > patience_.retries) throw;
    }
    pause(failures);
  }
}

void RemoteServer::interrupt() {
  interrupted_ = true;
  MutexLock lock(mutex_);
  changed_.notify_all();
}

void RemoteServer::close() {
  interrupt();
  Connections pool;
  MutexLock lock(mutex_);
  pool.swap(pool_);
  lock.unlock();  // a connection is closed without it
}

RemoteServer::Connections RemoteServer::connections(Until until) {
  MutexLock lock(mutex_);
  for (;;) {
    check_interrupted();
    if (!stale_.empty()) util::fail(ESTALE, "{}", stale_);
    if (pool_ && !pool_->dead()) return pool_;
    const bool given_up = failures_ > patience_.retries;
    if (given_up && (until == Until::given_up || patience_.is_final))
      util::fail(EIO, "{}", last_error_);
    if (connecting_) {
      REPLICATE_SYNC_POINT("pull.waits_for_connection");
      changed_.wait(lock);
    } else if (Clock::now() < next_) {
      changed_.wait_until(lock, next_);
    } else {
      connecting_ = true;
      lock.unlock();
      connect();
      lock.lock();
    }
  }
}

void RemoteServer::add_connections() {
  MutexLock lock(mutex_);
  if (!pool_ || std::exchange(pool_is_full_, true)) return;
  const Connections pool = pool_;
  lock.unlock();
  pool->add_connections(number_, log_);
}

void RemoteServer::connect() {
  try {
    auto made = std::make_shared<nbd::Pool>(options_, 1, log_, number_);
    check_(made->info());
    connected_to(std::move(made));
  } catch (const util::Error &e) {
    failed(e);
  } catch (const std::exception &e) {  // no memory; others wait for the end of this
    failed(util::Error(EIO, fmt::format("{}: {}", options_.name, e.what())));
  }
}

void RemoteServer::connected_to(Connections made) {
  bool back;
  {
    MutexLock lock(mutex_);
    const auto source = replication::parse_description(made->info().description);
    confirms_ = source && source->confirm_by_connection;
    pool_.swap(made);  // the dead one goes without the lock
    pool_is_full_ = false;
    back = was_lost_;
    was_lost_ = false;
    connecting_ = false;
    failures_ = 0;
    next_ = {};
    changed_.notify_all();
  }
  if (back) log_.warning("{}: the source is there again", options_.name);
}

void RemoteServer::failed(const util::Error &e) {
  bool first = false, stale = e.errnum() == ESTALE;
  {
    MutexLock lock(mutex_);
    connecting_ = false;
    if (stale) {
      first = stale_.empty();
      stale_ = e.what();
    } else if (e.errnum() != EINTR) {
      ++retries_;
      ++failures_;
      next_ = Clock::now() + delay(failures_);
      first = !was_lost_;
      was_lost_ = true;
    }
    last_error_ = e.what();
    changed_.notify_all();
  }
  if (!first || (patience_.is_final && !stale)) return;  // what fails then names the reason
  if (stale) {
    log_.error("{}", e.what());
  } else {
    log_.warning("{}; it is tried again; what is here can be used meanwhile", e.what());
  }
}

void RemoteServer::lost(const Connections &pool, const util::Error &e) {
  Connections dead;
  {
    MutexLock lock(mutex_);
    if (pool_ != pool) return;  // somebody else has found it
    dead.swap(pool_);
    last_error_ = e.what();
  }
  log_.info("{}; connecting again", e.what());
}

void RemoteServer::pause(unsigned failures) {
  const auto end = Clock::now() + delay(failures);
  MutexLock lock(mutex_);
  while (!interrupted_ && Clock::now() < end) changed_.wait_until(lock, end);
  lock.unlock();
  check_interrupted();
}

std::chrono::milliseconds RemoteServer::delay(unsigned failures) const {
  constexpr unsigned most_doublings = 20;
  const auto factor = 1u << std::min(failures - 1, most_doublings);
  return std::min(patience_.retry_delay * factor, patience_.retry_max);
}

void RemoteServer::check_interrupted() const {
  if (interrupted_) util::fail(EINTR, "{}: the server is ending", options_.name);
}

}  // namespace pull
