// SPDX-License-Identifier: BSD-3-Clause
//
// The export description by which a source says what it shows: one line of JSON, at most 4096 bytes
// (NBD_INFO_DESCRIPTION). Written by a source plugin, passed on by delta, read by apply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace replication {

struct SourceDescription {
  std::string source;      // what kind of source: "vsphere"
  std::string vm;          // the VM's moref, or what names the machine elsewhere
  int64_t disk = 0;        // the disk's device key
  uint64_t size = 0;       // of the disk, in bytes
  std::string mode;        // "full": the whole disk is in the delta; "delta": what changed since
  std::string since;       // the checkpoint that a delta starts from; empty for "full"
  std::string checkpoint;  // what a destination holds once everything has been copied

  // The source accepts a new connection only while it still shows this instant, so that one confirms all
  // that was read before it was asked for. JSON: "confirm":"connection". False: the source cannot say.
  bool confirm_by_connection = false;

  // The same disk, whatever the point in time.
  bool same_disk(const SourceDescription &other) const {
    return source == other.source && vm == other.vm && disk == other.disk;
  }
};

std::string format(const SourceDescription &description);

// Nothing if the text is not such a line (another source's free text).
std::optional<SourceDescription> parse_description(std::string_view text);

}  // namespace replication
