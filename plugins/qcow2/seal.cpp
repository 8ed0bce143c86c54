// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/seal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/replication/state_file.hpp"
#include "common/util/error.hpp"
#include "common/util/file.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

bool exists(const std::string &path) {
  struct stat st;
  if (::stat(path.c_str(), &st) == 0) return true;
  if (errno != ENOENT) util::fail_os(errno, "cannot stat {}", path);
  return false;
}

// The state is of that image, as far as that can be known: an image of another program has no UUID.
bool is_of(const replication::State &state, const std::string &uuid) {
  return state.image.empty() || uuid.empty() || state.image == uuid;
}

// Whether FILE.partial is what a run with create=always has left that was interrupted after it had begun
// to copy: then the state file says what it holds.
bool is_gone_on_with(const Settings &settings, const std::string &partial) {
  if (settings.seal_state.empty()) return false;
  auto state = replication::load_state(settings.seal_state);
  if (!state) return false;
  ImageFile file(util::open_file(partial, O_RDONLY | O_NONBLOCK), partial);
  return is_of(*state, uuid_of(read_header(file)));
}

// A crash in the middle of giving a file another name may have left it with both, where the file system
// cannot rename without replacing: nothing was changed under the new name yet.
void undo_half_rename(const std::string &file, const std::string &partial) {
  struct stat a = {}, b = {};
  bool two_names = ::lstat(file.c_str(), &a) == 0 && ::lstat(partial.c_str(), &b) == 0 &&
                   S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  if (!two_names) return;
  if (::unlink(partial.c_str()) < 0) util::fail_os(errno, "cannot remove {}", partial);
  durability::sync_directory(util::directory_of(partial));
}

// FILE.partial if it is there or has to be created, else FILE.
Place sealed_place(const Settings &settings) {
  const std::string partial = partial_name(settings.path);
  undo_half_rename(settings.path, partial);
  if (settings.create != Create::never && settings.backing &&
      same_file(settings.path, *settings.backing)) {
    util::fail(EINVAL, "backing={} is the image itself", *settings.backing);
  }
  const bool has_partial = exists(partial);
  bool use_final = !has_partial && settings.create != Create::always && exists(settings.path);
  if (use_final && settings.seal_state.empty()) {
    util::fail(EEXIST,
               "seal=on: {} exists and is complete: create=always replaces it when a new image is "
               "complete, seal=off writes to it",
               settings.path);
  }
  Place place{settings, !has_partial && !use_final, has_partial,
              std::make_unique<ImageName>(settings.path, use_final)};
  if (!use_final) place.settings.path = partial;
  if (has_partial && settings.create == Create::always) {
    place.is_new = !is_gone_on_with(settings, partial);
  }
  return place;
}

Place plain_place(const Settings &settings) {
  bool found = exists(settings.path);
  return {settings, !found || settings.create == Create::always, found, nullptr};
}

}  // namespace

Place place_of(const Settings &settings) {
  Place place = settings.seal ? sealed_place(settings) : plain_place(settings);
  if (place.is_new && settings.create == Create::never) {
    util::fail(ENOENT, "create=never: {} does not exist", place.settings.path);
  }
  return place;
}

std::optional<std::string> why_not_complete(const Settings &settings, const Image &image) {
  const std::string &path = settings.seal_state;
  if (path.empty()) {
    if (image.is_flushed()) return std::nullopt;
    return "no client has flushed it after the last write";
  }
  try {
    auto state = replication::load_state(path);
    if (!state) return fmt::format("{} does not exist, which says what it holds", path);
    if (!is_of(*state, image.uuids().front())) {
      return fmt::format("{} is of the image {}, this one is {}", path, state->image,
                         image.uuids().front());
    }
    if (!state->owed.empty()) {
      return fmt::format("{} owes {} bytes", path, state->owed_bytes());
    }
  } catch (const util::Error &e) {
    return e.what();
  }
  return std::nullopt;
}

}  // namespace qcow2
