// SPDX-License-Identifier: BSD-3-Clause
//
// Files that are replaced or renamed as a whole. No other code of the project does either.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace durability {

// Replaces a file so that after a crash at any instant either the old content or the new one is there,
// whole: a new file beside it is written and synced, renamed over it, and the directory is synced. The new
// file is created with a random name and O_EXCL, so that it is never one that somebody has put there, nor
// reached through a symbolic link; `path` itself may be a symbolic link: then the file that it names is
// replaced. Its permissions are those of the file that it replaces, else 0600 less the umask. Throws
// util::Error; the old content is there then.
void replace_file(const std::string &path, std::string_view content);

// The same for a content that is produced in parts: content(write) calls write(part) for each part in
// order; parts may be short. If it throws, the file is unchanged.
using Write = std::function<void(std::string_view part)>;
void replace_file(const std::string &path, const std::function<void(const Write &write)> &content);

// The same without syncing: a reader sees the old content or the new one, but a crash may lose both.
void replace_file_unsynced(const std::string &path, std::string_view content);

// Removes the new files of replace_file() that killed processes have left beside `path`. Only while no
// other process replaces it, that is, by the process that holds its lock.
void remove_unfinished(const std::string &path) noexcept;

// Renames a file within its directory, durably. replace: over a file that is there; else that is EEXIST,
// also where the file system has no RENAME_NOREPLACE. Throws util::Error.
void rename_file(const std::string &from, const std::string &to, bool replace);

// Syncs a directory, so that names in it are durable. Throws util::Error.
void sync_directory(const std::string &directory);

}  // namespace durability
