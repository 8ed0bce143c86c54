// SPDX-License-Identifier: BSD-3-Clause
//
// Which snapshots are this run's to remove. Each snapshot of the plugin has a random token in its
// description. The journal, a file beside the state, has the tokens of the snapshots that may exist: a
// token is durable there before the server is asked for the snapshot. Only who holds the journal's lock
// and finds a snapshot's token in it removes that snapshot.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/util/file_lock.hpp"

namespace vsphere {

// 32 hexadecimal digits from the kernel's random numbers. Throws util::Error.
std::string new_token();

// Where the journal of the parameter since= is: FILE.snapshot for @FILE, DIRECTORY/snapshot for
// @DIRECTORY. Empty if the parameter names no state: then there is no journal.
std::string journal_path_of(const std::string &since);

// A file of JSON: {"nbdkit-replicate-snapshots":1,"tokens":["..."]}; none if there is no token. One
// thread at a time.
class Journal {
 public:
  // Locks the journal (PATH.lock) for as long as this object, or a forked copy of the process, exists, and
  // reads it. Throws util::Error: EBUSY if another process has the lock, EINVAL if the file is no journal.
  explicit Journal(const std::string &path);

  bool has(std::string_view token) const;

  // Return when the change is durable. Throw util::Error; the change is not made then. Of tokens that are
  // never removed only the newest 16 are kept.
  void add(const std::string &token);
  void remove(std::string_view token);

  const std::vector<std::string> &tokens() const { return tokens_; }  // the oldest first
  const std::string &path() const { return path_; }

 private:
  void write(std::vector<std::string> tokens);

  std::string path_;
  util::FileLock lock_;
  std::vector<std::string> tokens_;  // oldest first
};

// The journal of the parameter since=, if there is one. A directory that does not exist yet, and whose name
// ends in a slash, is made. Throws as the constructor does.
std::optional<Journal> open_journal(const std::string &since);

}  // namespace vsphere
