// SPDX-License-Identifier: BSD-3-Clause
//
// The export description in which a source says what it shows: one line of JSON, at most 4096 bytes
// (NBD_INFO_DESCRIPTION). A source plugin writes it, the delta filter passes it on, the apply
// filter reads it (nbdkit-replicate-delta(7), "Description of the export").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace replication {

struct SourceDescription {
  std::string source;  // the kind of source: "vsphere"
  std::string vm;      // names the machine in it: a vSphere moref
  int64_t disk = 0;    // the disk's number in the machine: a vSphere device key
  uint64_t size = 0;   // of the disk, in bytes
  std::string mode;    // "full": the delta is the whole disk; "delta": what changed since `since`
  std::string since;   // the checkpoint where the delta begins; empty for "full"
  std::string checkpoint;  // what a destination holds when the whole delta has been copied

  // The source accepts a new connection only while it still shows this instant, so that one confirms all
  // that was read before it was asked for. JSON: "confirm":"connection". False: the source cannot say.
  bool confirm_by_connection = false;
};

std::string format(const SourceDescription &description);

// Nothing if the text is not such a line: it is free text.
std::optional<SourceDescription> parse_description(std::string_view text);

}  // namespace replication
