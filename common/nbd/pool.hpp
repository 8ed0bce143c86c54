// SPDX-License-Identifier: BSD-3-Clause
//
// Several connections to one export, used as one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/nbd/connection.hpp"
#include "common/util/log.hpp"

namespace nbd {

class Batch;

// May be used from any thread.
class Pool {
 public:
  // Connects once; up to `connections` in all only where the server offers multi-conn, for else a flush would not cover the
  // other connections' writes. Throws as Connection does if the first cannot be made; a server that is not verified
  // (Info::verified) is a warning; the first of the others that cannot be, or that shows another size or description, is a
  // warning, and the last tried.
  Pool(const Options &options, unsigned connections, const util::Log &log = {}, unsigned most = 0);

  // Connects once more, up to that number, as the constructor does; no two calls at the same time. Requests go on
  // meanwhile. `most`, of the constructor, is the most that can be asked for.
  void add_connections(unsigned connections, const util::Log &log = {});

  const Info &info() const { return connections_.front()->info(); }
  const std::string &name() const { return connections_.front()->name(); }
  size_t connections() const { return number_; }
  bool dead() const;  // at least one of them

  // On the least busy connection.
  void submit(Command &command) { least_busy().submit(command); }

  // The connection with the fewest requests in flight; not one of the first `kept`, where there are more.
  Connection &least_busy(size_t kept = 0);

  // Calls add(extent) for the whole export from the offset `from` on, in order, as Options::context tells it, with the
  // flags of that context as type; all of it of type 0 (data) where the server does not offer it. Several requests are in
  // flight, so that a far server costs few round trips; the answers that are not yet due are kept. Throws util::Error.
  void read_map(const std::function<void(const extents::Extent &)> &add, uint64_t from = 0);

  // Reads and waits, in pieces of at most maximum_block; not by the first `kept` connections, where there are more.
  // Throws util::Error naming the server.
  void pread(std::span<std::byte> buffer, uint64_t offset, size_t kept = 0);

 private:
  void check_same(const Connection &made) const;
  void wait_for(Batch &batch, Connection &connection) const;
  std::span<const std::unique_ptr<Connection>> made() const {
    return {connections_.data(), number_.load(std::memory_order_acquire)};
  }

  const Options options_;
  // Grows within its capacity. Only add_connections() looks behind the first number_.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<size_t> number_ = 0;
};

}  // namespace nbd
