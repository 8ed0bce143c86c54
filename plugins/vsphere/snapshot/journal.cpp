// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/journal.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_directory.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "common/util/file_lock.hpp"
#include "common/util/random.hpp"

namespace vsphere {

namespace {

constexpr const char *version_key = "nbdkit-replicate-snapshots";
constexpr size_t most_tokens = 16;
constexpr size_t most_bytes = 64 << 10;  // of a journal

std::vector<std::string> read_tokens(const std::string &path) {
  const std::optional<std::string> text = util::read_file(path, most_bytes);
  if (!text) return {};
  auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> tokens;
  const bool known = json.is_object() && json.value(version_key, nlohmann::json()) == 1;
  const auto list = known ? json.find("tokens") : json.end();
  if (!known || list == json.end() || !list->is_array()) {
    util::fail(
        EINVAL,
        "{} is no journal of this plugin's snapshots, or of a later version: move it away, and "
        "remove snapshots that it may have named in vSphere",
        path);
  }
  for (const auto &token : *list) {
    if (token.is_string()) tokens.push_back(token.get<std::string>());
  }
  return tokens;
}

util::FileLock lock(const std::string &path) {
  auto held = util::FileLock::try_lock(path);
  if (!held) {
    util::fail(
        EBUSY,
        "{} is locked: another nbdkit makes a snapshot for the same since=; wait until it ends",
        path);
  }
  return *std::move(held);
}

}  // namespace

std::string new_token() {
  return util::random_hex(16);
}

std::string journal_path_of(const std::string &since) {
  if (!since.starts_with('@')) return "";
  std::string path = since.substr(1);
  if (!replication::names_directory(path)) return path + ".snapshot";
  return path + (path.ends_with('/') ? "" : "/") + "snapshot";
}

std::optional<Journal> open_journal(const std::string &since) {
  const std::string path = journal_path_of(since);
  if (path.empty()) return std::nullopt;
  const std::string directory = util::directory_of(path);
  if (since.ends_with('/') && ::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    util::fail_os(errno, "since={}: cannot make the directory", since);
  }
  return std::make_optional<Journal>(path);
}

Journal::Journal(const std::string &path)
    : path_(path), lock_(lock(path)), tokens_(read_tokens(path)) {
  durability::remove_unfinished(path_);
}

bool Journal::has(std::string_view token) const {
  return !token.empty() && std::find(tokens_.begin(), tokens_.end(), token) != tokens_.end();
}

void Journal::add(const std::string &token) {
  std::vector<std::string> tokens = tokens_;
  if (tokens.size() >= most_tokens) tokens.erase(tokens.begin());
  tokens.push_back(token);
  write(std::move(tokens));
}

void Journal::remove(std::string_view token) {
  if (!has(token)) return;
  std::vector<std::string> tokens = tokens_;
  std::erase(tokens, token);
  write(std::move(tokens));
}

void Journal::write(std::vector<std::string> tokens) {
  if (!tokens.empty()) {
    nlohmann::ordered_json json = {{version_key, 1}, {"tokens", tokens}};
    durability::replace_file(path_, json.dump() + "\n");
  } else if (::unlink(path_.c_str()) == 0) {
    durability::sync_directory(util::directory_of(path_));
  } else if (errno != ENOENT) {
    util::fail_os(errno, "cannot remove {}", path_);
  }
  tokens_ = std::move(tokens);
}

}  // namespace vsphere
