// SPDX-License-Identifier: BSD-3-Clause
//
// From what the user asked for to an image that is open: created, or found and checked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/util/log.hpp"
#include "plugins/qcow2/image.hpp"

namespace qcow2 {

enum class Create {
  automatic,  // if there is no such file
  always,     // in place of what there is
  never,
};

struct Options {
  std::string path;  // absolute, as is the backing file's
  std::optional<uint64_t> size;
  std::optional<uint64_t> cluster_size;
  std::optional<std::string> backing;
  std::string backing_format;   // "raw" or "qcow2"; empty if there is no backing file
  bool follow_backing = false;  // names in images' headers may lead anywhere
  Create create = Create::automatic;
  Preallocate preallocate = Preallocate::off;  // of a new image
  bool seal = false;                           // written as PATH.partial
  bool lock = true;
  Settings settings;
  FileObserver *observer = nullptr;  // for tests: of the image, once it is made
};

// What is asked for must not contradict an image that exists. Throws util::Error, whose text names
// the parameter.
std::unique_ptr<Image> open_image(const Options &options, const util::Log &log);

// The same for an image that is only read: nothing in it is changed or repaired.
std::unique_ptr<Layer> open_read_only(const Options &options);

// At the end: closes the image cleanly, and seals it if that is asked for and the client has come to
// an end. Throws util::Error.
void close_image(const Options &options, Image &image, const util::Log &log);

}  // namespace qcow2
