// SPDX-License-Identifier: BSD-3-Clause
//
// The plugin's parameters. A part of the door.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "plugins/qcow2/settings.hpp"

namespace qcow2 {

struct Parameters {
  static constexpr const char *help =
      "[file=]<FILE>              (required) The image.\n"
      "size=<SIZE>                Virtual size, required for a new image without backing=.\n"
      "cluster-size=<SIZE>        Cluster size of a new image, 512 to 2M (default: 64K).\n"
      "backing=<FILE>|auto        Backing file of a new image; auto: follow names in headers.\n"
      "backing-format=raw|qcow2   Format of the backing file, required with backing=.\n"
      "create=auto|always|never   Whether to create the image (default: auto, if it is missing).\n"
      "compress=none|zlib|zstd    Compress what is written (default: none).\n"
      "compress-level=<N>         1 to 12 for zlib, 1 to 22 for zstd (default: 3 for either).\n"
      "detect-zeroes=on|off       Store clusters of zeroes as zero clusters (default: on).\n"
      "preallocate=off|metadata|falloc\n"
      "                           Allocate all clusters of a new image (default: off).\n"
      "read-only=on|off           Change nothing, not even to repair (default: off).\n"
      "seal=on|off|@STATEFILE     Name the image FILE.partial until it is complete: was flushed, "
      "or\n"
      "                           the state file of apply owes nothing (default: off).\n"
      "state=<STATEFILE>          Mark the image as complete when this state owes nothing.\n"
      "lock=on|off                Lock the files as QEMU does (default: on).\n"
      "l2-cache=<SIZE>            Memory for L2 tables, 1M to 4G (default: 32M).";

  Settings settings;

  // One parameter. False: it is not one of the plugin. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one: checks what must not be combined, and completes the settings. Throws
  // util::Error EINVAL.
  void complete();

 private:
  void set_seal(const std::string &value);
  bool set_for_new_image(const std::string &key, const std::string &value);
  void check_backing() const;
  void complete_compression();
  void check_read_only() const;

  std::string state_;    // of state=
  size_t compress_ = 0;  // none, zlib, zstd
  std::optional<unsigned> level_;
};

}  // namespace qcow2
