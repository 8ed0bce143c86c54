// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/disk/backing_chain.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "common/util/file.hpp"
#include "plugins/qcow2/disk/layer.hpp"
#include "plugins/qcow2/disk/raw_disk.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

constexpr size_t max_depth = 64;

using FileId = std::pair<dev_t, ino_t>;

// The files of a chain that have been opened so far.
class Chain {
 public:
  Chain(const std::string &image, const ChainRules &rules)
      : rules_(rules), cache_bytes_(rules.cache_bytes) {
    struct stat st;
    if (::stat(image.c_str(), &st) == 0) seen_.insert({st.st_dev, st.st_ino});
  }

  std::unique_ptr<Disk> open(const std::string &path, const std::string &format) {
    // Without O_NONBLOCK a pipe would block.
    ImageFile file(util::open_file(path, O_RDONLY | O_NONBLOCK), path);
    enter(file.fd(), path);
    if (rules_.lock) lock_image(file.fd(), path, Use::backing);
    if (format == "raw") return std::make_unique<RawDisk>(std::move(file));
    if (format != "qcow2") {
      util::fail(ENOTSUP, "backing file {}: the format must be raw or qcow2, not {}", path, format);
    }
    Header header = read_header(file);
    if (!rules_.corrupt && (header.incompatible & corrupt_bit) != 0) {
      util::fail(EINVAL, "backing file {} is marked corrupt: run qemu-img check -r all on it",
                 path);
    }
    // Each file gets half as much cache as the one above it.
    size_t cache_bytes = cache_bytes_ /= 2;
    std::unique_ptr<Disk> below = open_named(path, header);
    return std::make_unique<Layer>(std::make_unique<ImageFile>(std::move(file)), header,
                                   std::move(below), cache_bytes);
  }

  std::unique_ptr<Disk> open_named(const std::string &image, const Header &header) {
    const std::string &name = header.backing_file;
    if (name.empty()) return nullptr;
    if (!rules_.follow_anywhere && name.find('/', name.starts_with("./") ? 2 : 0) != name.npos) {
      util::fail(EPERM,
                 "{} names {} as its backing file, which is not in the same directory: "
                 "backing=auto allows that",
                 image, name);
    }
    if (header.backing_format.empty()) {
      util::fail(EINVAL,
                 "{} does not say the format of its backing file {}: set it with qemu-img "
                 "rebase -u -F FORMAT -b {} {}",
                 image, name, name, image);
    }
    return open(resolve_backing(image, name), header.backing_format);
  }

 private:
  void enter(const util::Fd &fd, const std::string &path) {
    struct stat st;
    if (::fstat(fd.get(), &st) < 0) util::fail_os(errno, "cannot stat {}", path);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
      util::fail(EINVAL, "backing file {} is neither a file nor a block device", path);
    }
    if (!seen_.insert({st.st_dev, st.st_ino}).second) {
      util::fail(ELOOP, "backing file {} is part of its own backing chain", path);
    }
    if (++depth_ > max_depth) {
      util::fail(ELOOP,
                 "backing file {}: a chain of more than {} files is not supported: shorten it "
                 "with qemu-img commit or rebase",
                 path, max_depth);
    }
  }

  const ChainRules rules_;
  size_t cache_bytes_;
  size_t depth_ = 0;
  std::set<FileId> seen_;
};

}  // namespace

std::string resolve_backing(const std::string &image, const std::string &name) {
  if (name.starts_with('/')) return name;
  return util::directory_of(image) + "/" + name;
}

std::string backing_name(const std::string &image, const std::string &backing) {
  std::error_code none;
  bool beside =
      std::filesystem::equivalent(util::directory_of(image), util::directory_of(backing), none);
  std::string base = std::filesystem::path(backing).filename();
  if (!beside) return backing;
  // The name "a:b" would mean protocol a.
  return base.find(':') == std::string::npos ? base : "./" + base;
}

bool same_file(const std::string &a, const std::string &b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

std::unique_ptr<Disk> open_backing(const std::string &image, const std::string &path,
                                   const std::string &format, const ChainRules &rules) {
  return Chain(image, rules).open(path, format);
}

std::unique_ptr<Disk> open_named_backing(const std::string &image, const Header &header,
                                         const ChainRules &rules) {
  return Chain(image, rules).open_named(image, header);
}

}  // namespace qcow2
