// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/pool.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>

#include "common/nbd/batch.hpp"
#include "common/nbd/long_status.hpp"
#include "common/util/error.hpp"

namespace nbd {

Pool::Pool(const Options &options, unsigned connections, const util::Log &log, unsigned most)
    : options_(options) {
  connections_.reserve(std::max({1u, connections, most}));
  log.debug("{}: connecting", options.name);
  connections_.push_back(std::make_unique<Connection>(options));
  number_ = 1;
  log.debug("{}: connected", name());
  if (!info().verified) {
    log.warning("{}: the server is not verified (tls-verify-peer=false): it may be anybody",
                name());
  }
  add_connections(connections, log);
}

void Pool::add_connections(unsigned connections, const util::Log &log) {
  if (!info().can_multi_conn) return;
  while (number_ < connections && number_ < connections_.capacity()) {
    try {
      auto made = std::make_unique<Connection>(options_);
      check_same(*made);
      connections_.push_back(std::move(made));
      number_.store(connections_.size(), std::memory_order_release);
      log.debug("{}: connected {} times", name(), connections_.size());
    } catch (const util::Error &e) {
      if (e.errnum() == EINTR) throw;  // of Options::interrupt
      log.warning("{}; going on with {} of {} connections", e.what(), connections_.size(),
                  connections);
      return;
    }
  }
}

// Two servers at one address need not show the same instant.
void Pool::check_same(const Connection &made) const {
  if (made.info().size == info().size && made.info().description == info().description) return;
  util::fail(EINVAL, "{}: a further connection shows another disk than the first one", name());
}

bool Pool::dead() const {
  const auto all = made();
  return std::any_of(all.begin(), all.end(), [](const auto &c) { return c->dead(); });
}

Connection &Pool::least_busy(size_t kept) {
  const auto all = made();
  const auto choice = all.subspan(std::min(kept, all.size() - 1));
  return **std::min_element(choice.begin(), choice.end(), [](const auto &a, const auto &b) {
    return a->in_flight() < b->in_flight();
  });
}

namespace {

// One block-status request: what was asked, and the answer.
struct MapRequest {
  MapRequest(extents::Range range, Connection &c) : asked(range), connection(c) {}
  const extents::Range asked;
  Connection &connection;
  std::vector<extents::Extent> told;
  Batch batch;  // last: it waits before the rest goes
};

}  // namespace

void Pool::read_map(const std::function<void(const extents::Extent &)> &add, uint64_t from) {
  constexpr size_t in_flight = 8;
  const uint64_t size = info().size;
  if (!info().can_extents) {
    if (size > from) add({from, size - from, extents::data});
    return;
  }
  auto ask = [this](extents::Range range) {
    auto request = std::make_unique<MapRequest>(range, least_busy());
    request->batch.block_status(request->connection, range, request->told);
    return request;
  };
  StatusStep step(info().long_status);
  std::deque<std::unique_ptr<MapRequest>> asked;
  uint64_t done = from;
  for (uint64_t next = from; done < size;) {
    while (asked.size() < in_flight && next < size) {
      asked.push_back(ask({next, std::min(step.bytes(), size - next)}));
      next = asked.back()->asked.end();
    }
    try {
      wait_for(asked.front()->batch, asked.front()->connection);
    } catch (...) {
      for (auto &other : asked) other->connection.give_up();
      throw;
    }
    auto request = std::move(asked.front());
    asked.pop_front();
    if (int errnum = request->batch.wait(); errnum != 0) {
      util::fail_os(errnum, "{}: cannot read the map at offset {}", name(), request->asked.offset);
    }
    for (const extents::Extent &e : request->told) {
      extents::Range part = extents::intersect(e.range(), {done, request->asked.end() - done});
      if (part.empty()) continue;
      if (part.offset != done) break;
      add({part.offset, part.length, e.type});
      done = part.end();
    }
    if (done == request->asked.offset) {
      util::fail(EIO, "{}: the server sent an empty map at offset {}", name(), done);
    }
    step.answered(request->told.size(), done >= request->asked.end());
    // It may have told of a part only.
    if (done < request->asked.end()) asked.push_front(ask({done, request->asked.end() - done}));
  }
}

// The buffer is in use until the connection has ended, so an interruption ends it.
void Pool::wait_for(Batch &batch, Connection &connection) const {
  constexpr std::chrono::milliseconds slice{100};
  while (options_.interrupt && !batch.wait_for(slice)) {
    try {
      options_.interrupt();
    } catch (...) {
      connection.give_up();
      throw;
    }
  }
}

void Pool::pread(std::span<std::byte> buffer, uint64_t offset, size_t kept) {
  while (!buffer.empty()) {
    auto piece = buffer.first(std::min<size_t>(buffer.size(), info().maximum_block));
    Batch batch;
    Connection &connection = least_busy(kept);
    batch.read(connection, piece, offset);
    wait_for(batch, connection);
    int errnum = batch.wait();
    if (errnum != 0) {
      util::fail_os(errnum, "{}: cannot read {} bytes at offset {}", name(), piece.size(), offset);
    }
    buffer = buffer.subspan(piece.size());
    offset += piece.size();
  }
}

}  // namespace nbd
