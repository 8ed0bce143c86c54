// SPDX-License-Identifier: BSD-3-Clause
//
// The source: the delta view of an NBD server, or a file that holds its map.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/replication/source_description.hpp"
#include "common/extents/extent.hpp"
#include "filters/apply/disk/disk_bytes.hpp"
#include "filters/apply/source/reconnecting_pool.hpp"
#include "filters/apply/delta/delta_map.hpp"

namespace apply {

// What the source shows.
struct View {
  Mask mask;
  std::string description;  // the export's own words; often empty
  std::optional<replication::SourceDescription> identity() const {
    return replication::parse_description(description);
  }
};

// Looks at the source's bytes. Used by one thread at a time.
class Reader {
 public:
  virtual ~Reader() = default;
  // For each range whether it reads as zeroes. At most 16 ranges of at most 1 MiB each, which are
  // read at the same time. Throws util::Error.
  virtual std::vector<bool> are_zero(std::span<const extents::Range> ranges) = 0;
};

class Source {
 public:
  virtual ~Source() = default;
  virtual const std::string &name() const = 0;
  // Reads the map. Connections it needs are closed when it returns. Throws util::Error.
  virtual View load() = 0;
  // Connects again to the source that showed `view`. Nothing if it has no bytes to be read, only a
  // map. Throws util::Error, within a deadline, if it is not there or shows something else.
  virtual std::unique_ptr<Reader> connect(const View &view) = 0;
  // The same for the export that shows the disk as it is ("honest"), whose bytes are compared with
  // the destination's. Connects when it is first read. Nothing if there is only a map.
  virtual std::unique_ptr<Bytes> honest(const View &view) = 0;
};

// From the value of apply-from: a URI has "://" in it, all else is the name of a file.
std::unique_ptr<Source> make_source(const std::string &value, const Timeouts &timeouts = {});
bool is_uri(const std::string &value);

// The URI of the same server's export "honest" (for the export NAME: "honest/NAME").
std::string honest_uri(const std::string &uri);

}  // namespace apply
