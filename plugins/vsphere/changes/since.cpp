// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/changes/since.hpp"

#include <cerrno>

#include "common/replication/state_directory.hpp"
#include "common/util/error.hpp"

namespace vsphere {

namespace {

bool names_state(const std::string &parameter) {
  return parameter.starts_with('@');
}

}  // namespace

std::string_view epoch_of(std::string_view change_id) {
  auto slash = change_id.rfind('/');
  if (slash == std::string_view::npos || slash + 1 == change_id.size()) return {};
  return change_id.substr(0, slash);
}

bool is_of_one_disk(const std::string &parameter) {
  if (!names_state(parameter)) return !parameter.empty();
  return !replication::names_directory(parameter.substr(1));
}

Since since_of(const std::string &parameter, const std::string &vm, int64_t disk) {
  if (!names_state(parameter)) return {parameter, std::nullopt, parameter};
  const std::string path = parameter.substr(1);
  auto state = replication::names_directory(path) ? replication::load_state_of(path, disk)
                                                  : replication::load_state(path);
  if (!state) return {"", std::nullopt, parameter};
  if (state->source != "vsphere" || state->vm != vm || state->disk != disk) {
    util::fail(
        EINVAL,
        "since={}: that state is of {} {} disk {}, this is vsphere {} disk {}; give the state "
        "file of this disk's copy, or remove it to start with a full copy",
        parameter, state->source, state->vm, state->disk, vm, disk);
  }
  return {state->checkpoint, state->size, parameter};
}

}  // namespace vsphere
