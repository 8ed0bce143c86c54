// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/state_directory.hpp"

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include "common/util/error.hpp"

namespace replication {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view suffix = ".state";

// DISK, if the file is called DISK.state.
std::optional<int64_t> disk_of(std::string_view file) {
  if (!file.ends_with(suffix)) return std::nullopt;
  file.remove_suffix(suffix.size());
  int64_t disk = 0;
  auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), disk);
  if (error != std::errc() || end != file.data() + file.size()) return std::nullopt;
  return disk;
}

}  // namespace

bool names_directory(const std::string &path) {
  std::error_code ignored;
  return path.ends_with('/') || fs::is_directory(path, ignored);
}

std::string state_path(const std::string &directory, int64_t disk) {
  return (fs::path(directory) / (std::to_string(disk) + std::string(suffix))).string();
}

std::optional<State> load_state_of(const std::string &directory, int64_t disk) {
  const std::string path = state_path(directory, disk);
  std::optional<State> state = load_state(path);
  // A state without a source has no disk either.
  const bool known = state && !state->source.empty();
  if (known && state->disk != disk) {
    util::fail(EINVAL,
               "{} is the state of disk {}: give the destination's own state file, or remove it to "
               "start with a full copy",
               path, state->disk);
  }
  return state;
}

std::map<int64_t, State> load_states(const std::string &directory) {
  std::map<int64_t, State> states;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::optional<int64_t> disk = disk_of(it->path().filename().string());
    if (!disk) continue;
    // Nothing if another process has removed the file since.
    if (auto state = load_state_of(directory, *disk)) states.emplace(*disk, *std::move(state));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    util::fail_os(error.value(), "cannot read the directory {}", directory);
  }
  return states;
}

}  // namespace replication
