// SPDX-License-Identifier: BSD-3-Clause
#include "common/durability/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <system_error>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"
#include "common/util/random.hpp"

namespace durability {

namespace {

constexpr std::string_view unfinished = ".tmp-";

// A file that is written beside the one that it is to replace, and removed unless it does. Errors name the file
// that is replaced: the name of this one is random, and of no use to anybody.
class NewFile {
 public:
  explicit NewFile(const std::string &path) : path_(path) {
    constexpr int attempts = 100;
    for (int i = 0; i < attempts && !fd_; ++i) {
      name_ = fmt::format("{}{}{}", path, unfinished, util::random_hex(8));
      int raw = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
      if (raw < 0 && errno != EEXIST) {
        util::fail_os(errno, "cannot create a new file beside {}", path);
      }
      fd_ = util::Fd(raw);
    }
    if (!fd_) util::fail(EEXIST, "cannot create a new file beside {}", path);
    struct stat old = {};
    if (::stat(path.c_str(), &old) == 0) {
      // Best effort: another owner than that of the old file needs root.
      (void)::fchmod(fd_.get(), old.st_mode & 07777);
      if (::geteuid() == 0) (void)!::fchown(fd_.get(), old.st_uid, old.st_gid);
    }
  }
  ~NewFile() {
    if (!renamed_) ::unlink(name_.c_str());
  }
  NewFile(const NewFile &) = delete;
  NewFile &operator=(const NewFile &) = delete;

  void write(std::string_view part) {
    constexpr size_t enough = 1u << 18;  // bytes that are written at once
    gathered_ += part;
    if (gathered_.size() >= enough) write_gathered();
  }
  void write_gathered() {
    util::write_at(fd_, std::as_bytes(std::span(gathered_)), offset_, path_);
    offset_ += gathered_.size();
    gathered_.clear();
  }
  void sync() {
    if (::fsync(fd_.get()) < 0) util::fail_os(errno, "cannot sync {}", path_);
  }
  void take_its_place() {
    if (::rename(name_.c_str(), path_.c_str()) < 0) {
      util::fail_os(errno, "cannot replace {}", path_);
    }
    renamed_ = true;
  }

 private:
  const std::string path_;
  std::string name_;
  util::Fd fd_;
  std::string gathered_;
  uint64_t offset_ = 0;
  bool renamed_ = false;
};

void replace(const std::string &given, const std::function<void(const Write &)> &content,
             bool sync) {
  const std::string path = util::resolve_links(given);
  NewFile file(path);
  content([&](std::string_view part) { file.write(part); });
  file.write_gathered();
  if (sync) file.sync();
  REPLICATE_SYNC_POINT("replace_file.before_rename");
  file.take_its_place();
  if (sync) sync_directory(util::directory_of(path));
}

}  // namespace

void replace_file(const std::string &path, std::string_view content) {
  replace(
      path, [&](const Write &write) { write(content); }, true);
}

void replace_file(const std::string &path, const std::function<void(const Write &)> &content) {
  replace(path, content, true);
}

void replace_file_unsynced(const std::string &path, std::string_view content) {
  replace(
      path, [&](const Write &write) { write(content); }, false);
}

void remove_unfinished(const std::string &given) noexcept {
  try {
    const std::filesystem::path path = util::resolve_links(given);
    const std::string prefix = path.filename().string() + std::string(unfinished);
    for (const auto &entry :
         std::filesystem::directory_iterator(util::directory_of(path.string()))) {
      if (entry.path().filename().string().starts_with(prefix)) {
        std::error_code ignored;
        std::filesystem::remove(entry.path(), ignored);
      }
    }
  } catch (const std::exception &) {  // they only take space
  }
}

void rename_file(const std::string &from, const std::string &to, bool replace) {
  if (replace) {
    if (::rename(from.c_str(), to.c_str()) < 0)
      util::fail_os(errno, "cannot rename {} to {}", from, to);
  } else if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) < 0) {
    // EINVAL: the file system (NFS, some FUSE) does not know the flag. link() never replaces.
    if (errno != EINVAL && errno != ENOSYS)
      util::fail_os(errno, "cannot rename {} to {}", from, to);
    if (::link(from.c_str(), to.c_str()) < 0)
      util::fail_os(errno, "cannot rename {} to {}", from, to);
    if (::unlink(from.c_str()) < 0)
      util::fail_os(errno, "cannot remove {}, which is {} now", from, to);
  }
  sync_directory(util::directory_of(to));
}

void sync_directory(const std::string &directory) {
  util::Fd fd = util::open_file(directory, O_RDONLY | O_DIRECTORY);
  if (::fsync(fd.get()) < 0) util::fail_os(errno, "cannot sync {}", directory);
}

}  // namespace durability
