// SPDX-License-Identifier: BSD-3-Clause
//
// The destination is the image that the state was written for.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/util/log.hpp"
#include "common/util/mutex.hpp"

namespace replication {

// May be used from any thread.
class DestinationImage {
 public:
  struct Rules {
    std::string
        module;  // the filter, for messages: its parameters are MODULE-state= and MODULE-image=
    std::string state_path;  // the same
    std::string expected;    // UUID of the image that the state names; empty: none
    bool any;                // another image is accepted, with a warning
    bool whole_disk;         // the delta is the whole disk: what the image holds does not matter
    // That the state was written for, and of this run; an empty one is none.
    std::vector<std::string> checkpoints = {};
  };
  DestinationImage(Rules rules, util::Log log) : rules_(std::move(rules)), log_(std::move(log)) {}

  // The export description of the layer below, as a client has found it. Returns the UUID that the
  // state names from now on, empty if the description is no identity. Throws util::Error EINVAL if
  // state names an image, and this is neither that one nor lies over it; or if any flush would give the image
  // its final name, complete or not.
  std::string accept(const std::string &description) ABSL_LOCKS_EXCLUDED(mutex_);

  // Why the destination, which has been accepted, is an earlier or a later copy of the image that the state is
  // about: it says that it is complete as of another checkpoint. Empty if it does not say so.
  std::string contradiction(const std::string &description) const;

 private:
  const Rules rules_;
  const util::Log log_;
  util::Mutex mutex_;  // held for no I/O; no other lock is taken while it is held
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace replication
