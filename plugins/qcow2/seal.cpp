// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/seal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/durability/sync_point.hpp"
#include "common/replication/state_directory.hpp"
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
  if (settings.state.empty()) return false;
  auto state = replication::load_state(settings.state);
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

void check_regular_file(const std::string &path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) < 0) {
    if (errno == ENOENT) return;
    util::fail_os(errno, "cannot stat {}", path);
  }
  if (!S_ISREG(st.st_mode)) util::fail(EINVAL, "seal=: {} must be a regular file", path);
}

// What the image could not become complete with at the end.
void check_state(const std::string &path) {
  if (path.empty()) return;
  if (replication::names_directory(path)) {
    util::fail(EINVAL, "{} is a directory: give the state file of this image", path);
  }
  replication::load_state(path);
}

// FILE.partial if it is there or has to be created, else FILE.
Place sealed_place(const Settings &settings) {
  const std::string partial = partial_name(settings.path);
  undo_half_rename(settings.path, partial);
  check_regular_file(settings.path);
  if (settings.create != Create::never && settings.backing &&
      same_file(settings.path, *settings.backing)) {
    util::fail(EINVAL, "backing={} is the image itself", *settings.backing);
  }
  const bool has_partial = exists(partial);
  bool use_final = !has_partial && settings.create != Create::always && exists(settings.path);
  if (use_final && settings.state.empty()) {
    util::fail(EEXIST,
               "seal=on: {} exists and is complete: create=always replaces it when a new image is "
               "complete, seal=off writes to it",
               settings.path);
  }
  if (settings.state.empty() && has_partial && settings.create != Create::always &&
      exists(settings.path)) {
    util::fail(
        EEXIST,
        "seal=on: {} exists and is complete, and {} exists as well: remove the one that is not "
        "wanted, or give create=always, which begins anew and replaces both",
        settings.path, partial);
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
  check_state(settings.state);
  Place place = settings.seal ? sealed_place(settings) : plain_place(settings);
  if (place.is_new && settings.create == Create::never) {
    util::fail(ENOENT, "create=never: {} does not exist", place.settings.path);
  }
  return place;
}

Verdict verdict_of(const Settings &settings, const Image &image) {
  const std::string &path = settings.state;
  if (path.empty()) {
    return {image.is_flushed() ? "" : "no client has flushed it after the last write", ""};
  }
  try {
    auto state = replication::load_state(path);
    if (!state) return {fmt::format("{} does not exist, which says what it holds", path), ""};
    if (!is_of(*state, image.uuids().front())) {
      return {fmt::format("{} is of the image {}, this one is {}", path, state->image,
                          image.uuids().front()),
              ""};
    }
    if (!state->owed.empty()) {
      return {fmt::format("{} owes {} bytes", path, state->owed_bytes()), ""};
    }
    if (replication::is_written(*state)) {
      return {fmt::format("{} says that clients of nbdkit-pull-filter have changed it: it is no "
                          "copy of one instant",
                          path),
              ""};
    }
    return {"", state->checkpoint};
  } catch (const util::Error &e) {
    return {e.what(), ""};
  }
}

void close_image(const Settings &settings, Image &image, const util::Log &log) {
  image.finalise();
  image.check_named();
  if (!settings.is_tracked()) return;
  ImageName *name = image.name();
  const bool partial = name != nullptr && !name->is_final();
  const Verdict verdict = verdict_of(settings, image);
  if (!verdict.why_not.empty()) {
    if (partial) {
      log.warning("{} keeps its name: {}; the same command continues with it",
                  partial_name(name->file()), verdict.why_not);
    }
    return;
  }
  image.mark().set_complete(verdict.checkpoint);
  REPLICATE_SYNC_POINT("qcow2.marked_complete");
  if (!partial) return;
  name->make_final(settings.create == Create::always || !settings.state.empty());
  log.info("{}: sealed", settings.path);
}

}  // namespace qcow2
