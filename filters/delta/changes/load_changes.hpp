// SPDX-License-Identifier: BSD-3-Clause
//
// The value of delta-map=: an NBD URI, or a file.
#pragma once

#include <chrono>
#include <string>

#include "common/util/log.hpp"
#include "filters/delta/changes/change_map.hpp"

namespace delta {

struct MapLocation {
  std::string value;    // an NBD URI, or the path of a file
  std::string context;  // metadata context of the URI, or of the file's map; empty: not told

  bool is_uri() const { return value.find("://") != std::string::npos; }
  std::string origin() const;  // for messages
};

// How long the server of a URI may take.
struct MapTimeouts {
  std::chrono::milliseconds connect{10'000};
  std::chrono::milliseconds request{60'000};
};

// Reads the map. A file is what `nbdinfo --map --json` prints, or has lines of an offset and a length in
// bytes (the rest of a line is ignored, and so are lines that begin with "#"). No connection is left open.
// Throws util::Error, with what to do.
ChangeMap load_changes(const MapLocation &location, const MapTimeouts &timeouts,
                       const util::Log &log);

}  // namespace delta
