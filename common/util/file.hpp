// SPDX-License-Identifier: BSD-3-Clause
//
// Small whole files: state, statistics, maps.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace util {

// The content of a file, or nothing if there is no such file. Throws Error on anything else, also if
// it is longer than max_bytes.
std::optional<std::string> read_file(const std::string &path, size_t max_bytes = 256u << 20);

// Replaces a file so that after a crash at any instant either the old content or the new one is
// there, whole: PATH.tmp is written and synced, renamed over PATH, the directory synced.
void replace_file(const std::string &path, std::string_view content);

// The same for a content that is produced in parts: content(write) calls write(part) for each part in
// order; parts may be short. If it throws, the file is unchanged.
using Write = std::function<void(std::string_view part)>;
void replace_file(const std::string &path, const std::function<void(const Write &write)> &content);

// The same without syncing: a reader sees the old content or the new one, but a crash may lose both.
void replace_file_unsynced(const std::string &path, std::string_view content);

// Where PATH lies: its directory, "." if it names none.
std::string directory_of(const std::string &path);

}  // namespace util
