// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/source/map_reader.hpp"

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace pull {

MapReader::MapReader(RemoteDisk &remote, SourceMap &map, util::Log log)
    : log_(std::move(log)), thread_([this, &remote, &map] {
        read(remote, map);
        ended();
      }) {}

void MapReader::when_known(std::function<void()> f) {
  {
    util::MutexLock lock(mutex_);
    if (!known_) {
      when_known_ = std::move(f);
      return;
    }
  }
  f();
}

void MapReader::read(RemoteDisk &remote, SourceMap &map) const {
  try {
    remote.read_map(0, [&map](const extents::Extent &e) { map.append(e); });
  } catch (const util::Error &e) {
    if (e.errnum() == EINTR) return;
    log_.warning("pull: {}; holes of the source are read like data", e.what());
  }
  map.end();
}

void MapReader::ended() {
  std::function<void()> f;
  {
    util::MutexLock lock(mutex_);
    known_ = true;
    f = std::move(when_known_);
  }
  if (f) f();
}

}  // namespace pull
