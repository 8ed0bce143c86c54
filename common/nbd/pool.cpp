// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/pool.hpp"

#include <algorithm>
#include <cerrno>

#include "common/util/error.hpp"

namespace nbd {

Pool::Pool(const Options &options, unsigned connections, const util::Log &log) {
  connections_.push_back(std::make_unique<Connection>(options));
  if (!info().can_multi_conn) return;
  while (connections_.size() < connections) {
    try {
      connections_.push_back(std::make_unique<Connection>(options));
    } catch (const util::Error &e) {
      log.warning("{}; going on with {} of {} connections", e.what(), connections_.size(),
                  connections);
      return;
    }
  }
}

bool Pool::dead() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const auto &c) { return c->dead(); });
}

Connection &Pool::least_busy() {
  return **std::min_element(
      connections_.begin(), connections_.end(),
      [](const auto &a, const auto &b) { return a->in_flight() < b->in_flight(); });
}

extents::ExtentMap Pool::read_map() {
  constexpr uint64_t step = 1u << 30;  // a block-status request's length is 32 bits
  extents::ExtentMap map(info().size);
  if (!info().can_extents) return map;
  for (uint64_t offset = 0; offset < map.size();) {
    uint64_t count = std::min(step, map.size() - offset);
    uint64_t end = offset;
    int errnum = wait_for([&](Completion done) {
      least_busy().block_status(
          count, offset,
          [&](const extents::Extent &e) {
            map.set(e.range(), e.type);
            end = std::max(end, e.end());
          },
          std::move(done));
    });
    if (errnum != 0) util::fail_os(errnum, "{}: cannot read the map at offset {}", name(), offset);
    if (end <= offset)
      util::fail(EIO, "{}: the server sent an empty map at offset {}", name(), offset);
    offset = end;
  }
  return map;
}

void Pool::pread(std::span<std::byte> buffer, uint64_t offset) {
  while (!buffer.empty()) {
    auto piece = buffer.first(std::min<size_t>(buffer.size(), info().maximum_block));
    int errnum =
        wait_for([&](Completion done) { least_busy().pread(piece, offset, std::move(done)); });
    if (errnum != 0) {
      util::fail_os(errnum, "{}: cannot read {} bytes at offset {}", name(), piece.size(), offset);
    }
    buffer = buffer.subspan(piece.size());
    offset += piece.size();
  }
}

}  // namespace nbd
