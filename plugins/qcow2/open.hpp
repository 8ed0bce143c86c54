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
  std::string backing_format;  // "raw" or "qcow2"; empty if there is no backing file
  Create create = Create::automatic;
  Settings settings;
  FileObserver *observer = nullptr;  // for tests: of the image, once it is made
};

// What is asked for must not contradict an image that exists. Throws util::Error, whose text names
// the parameter.
std::unique_ptr<Image> open_image(const Options &options, const util::Log &log);

}  // namespace qcow2
