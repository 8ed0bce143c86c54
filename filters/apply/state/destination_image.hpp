// SPDX-License-Identifier: BSD-3-Clause
//
// The destination is the image that the state was written for.
#pragma once

#include <string>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"

namespace apply {

// May be used from any thread.
class DestinationImage {
 public:
  struct Rules {
    std::string state_path;  // for messages
    std::string expected;    // UUID of the image that the state names; empty: none
    bool any;                // another image is accepted, with a warning
    bool whole_disk;         // the delta is the whole disk: what the image holds does not matter
  };
  DestinationImage(Rules rules, util::Log log) : rules_(std::move(rules)), log_(std::move(log)) {}

  // The export description of the layer below, as a client has found it. Returns the UUID that the
  // state names from now on, empty if the description is no identity. Throws util::Error EINVAL if
  // the state names an image, and this is neither that one nor lies over it.
  std::string accept(const std::string &description) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const Rules rules_;
  const util::Log log_;
  util::Mutex mutex_;  // held for no I/O; no other lock is taken while it is held
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace apply
