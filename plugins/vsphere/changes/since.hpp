// SPDX-License-Identifier: BSD-3-Clause
//
// The parameter since=: a changeId, @FILE with a state, or @DIRECTORY with a state for each disk
// (common/replication/state_directory.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vsphere {

// A changeId is EPOCH/NUMBER. Two changeIds of a disk can be compared only if their epochs are equal:
// when change tracking is reset a new epoch begins. Empty if the text is no changeId.
std::string_view epoch_of(std::string_view change_id);

// What since= says of one disk.
struct Since {
  std::string change_id;         // empty: nothing is known, the whole disk is wanted
  std::optional<uint64_t> size;  // bytes that the disk had at that time, if a state says so
  std::string origin;            // the parameter as it was given, for messages
};

// Whether the parameter applies to one disk only.
bool is_of_one_disk(const std::string &parameter);

// `vm` is the machine's moref, `disk` the device key. The whole disk is wanted if the state does not
// exist yet or has no checkpoint. Throws util::Error; EINVAL if the state is damaged, or of another
// machine or disk.
Since since_of(const std::string &parameter, const std::string &vm, int64_t disk);

}  // namespace vsphere
