// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/file/file_observer.hpp"
#include "plugins/qcow2/lifecycle/preallocate.hpp"

namespace qcow2 {

enum class Create {
  automatic,  // if there is no such file
  always,     // in place of a file that exists
  never,
};

// What the parameters of the plugin come to.
struct Settings {
  std::string path;  // absolute, as is the path of the backing file
  std::optional<uint64_t> size;
  std::optional<uint64_t> cluster_size;
  std::optional<std::string> backing;
  std::string backing_format;   // "raw" or "qcow2"; empty without `backing`
  bool follow_backing = false;  // backing=auto: names in headers may lead to any file
  Create create = Create::automatic;
  Preallocate preallocate = Preallocate::off;  // of a new image
  bool seal = false;                           // the file is PATH.partial until it is complete
  std::string state;  // the state file that says whether it is; empty: a flush with seal, else nobody
  bool read_only = false;
  bool lock = true;
  bool detect_zeroes = true;
  size_t l2_cache_bytes = 32u << 20;
  std::optional<Compression> compression;  // none: new clusters are stored uncompressed
  FileObserver *observer = nullptr;        // for tests: of the image file once it exists

  // Whether it is known at the end if the image is complete.
  bool is_tracked() const { return seal || !state.empty(); }
};

}  // namespace qcow2
