// SPDX-License-Identifier: BSD-3-Clause
//
// The source server, or a file with its map.
#pragma once

#include <memory>
#include <string>

#include "common/util/log.hpp"
#include "filters/apply/disk/disk_bytes.hpp"
#include "filters/apply/source/delta_view.hpp"
#include "filters/apply/source/reconnecting_pool.hpp"

namespace apply {

// May be used from any thread.
class Source {
 public:
  virtual ~Source() = default;
  virtual const std::string &name() const = 0;
  // Reads the map. No connection is left open. Throws util::Error.
  virtual DeltaView load() = 0;
  // Connects to the export that showed `view`, which must outlive what is returned. Nothing if the
  // source is a map alone. Throws util::Error, within the timeouts, if the server cannot be reached
  // or now shows something else.
  virtual std::unique_ptr<DiskBytes> connect(const DeltaView &view) = 0;
  // The export "honest" of the same server, to compare the destination with. It connects at the
  // first read. Nothing if the source is a map alone.
  virtual std::unique_ptr<DiskBytes> honest(const DeltaView &view) = 0;
  // Returns if the source still shows `view`: makes a new connection, which must show the same
  // description and size, and closes it. A server that cannot be reached is asked again until the
  // timeout for connecting is over. Throws util::Error, ESTALE if it shows something else. A map
  // alone is as it was.
  virtual void confirm(const DeltaView &view) = 0;
};

// From the value of apply-from=. Connects to nothing yet.
std::unique_ptr<Source> make_source(const std::string &value, const Timeouts &timeouts = {},
                                    const util::Log &log = {});

// Whether a value of apply-from= is a URI: it has "://" in it. Any other is the name of a file.
bool is_uri(const std::string &value);

}  // namespace apply
