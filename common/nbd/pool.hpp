// SPDX-License-Identifier: BSD-3-Clause
//
// Several connections to one export, used as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent_map.hpp"
#include "common/nbd/connection.hpp"
#include "common/util/log.hpp"

namespace nbd {

// May be used from any thread.
class Pool {
 public:
  // Connects once; up to `connections` in all only where the server offers multi-conn, for else a
  // flush would not cover the other connections' writes. Throws as Connection does if the first
  // cannot be made; the first of the others that cannot be is a warning, and the last tried.
  Pool(const Options &options, unsigned connections, const util::Log &log = {});

  const Info &info() const { return connections_.front()->info(); }
  const std::string &name() const { return connections_.front()->name(); }
  size_t connections() const { return connections_.size(); }
  bool dead() const;  // at least one of them

  // The connection with the fewest requests in flight.
  Connection &least_busy();

  // The map of the whole export by base:allocation (Options::extents), all data where the server
  // does not offer it. Throws util::Error.
  extents::ExtentMap read_map();

  // Reads and waits, in pieces of at most maximum_block. Throws util::Error naming the server.
  void pread(std::span<std::byte> buffer, uint64_t offset);

 private:
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace nbd
