// SPDX-License-Identifier: BSD-3-Clause
//
// since=: from when on a disk's changes are wanted. A changeId; @FILE, a state; or @DIRECTORY, with a
// state for each disk (common/replication/state_directory.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vsphere {

// For one disk.
struct Since {
  std::string change_id;         // empty: nothing is known, all of the disk is wanted
  std::optional<uint64_t> size;  // bytes that the disk had then, if a state tells
  std::string origin;            // as given, for messages
};

// Whether the parameter can be of one disk only.
bool is_of_one_disk(const std::string &parameter);

// What it says of a disk of a machine (its moref). A state that does not exist yet, or in which nothing
// is known, asks for all of the disk. Throws util::Error; EINVAL if the state is damaged, or of another
// machine or disk.
Since since_of(const std::string &parameter, const std::string &vm, int64_t disk);

}  // namespace vsphere
