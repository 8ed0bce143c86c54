// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/backing.hpp"
#include "plugins/qcow2/create.hpp"
#include "plugins/qcow2/load.hpp"
#include "plugins/qcow2/lock.hpp"

namespace qcow2 {

namespace {

constexpr uint64_t default_cluster_size = 64u << 10;

bool exists(const std::string &path) {
  struct stat st;
  if (::stat(path.c_str(), &st) == 0) return true;
  if (errno != ENOENT) util::fail_os(errno, "cannot find out about {}", path);
  return false;
}

// The allocator relies on a file that grows.
void check_regular(const util::Fd &fd, const std::string &path) {
  struct stat st;
  if (::fstat(fd.get(), &st) < 0) util::fail_os(errno, "cannot stat {}", path);
  if (!S_ISREG(st.st_mode)) util::fail(EINVAL, "file={}: must be a regular file", path);
}

// What can be read, but not written.
void check_writable(const Header &h, const std::string &path) {
  if (h.version != 3) {
    util::fail(ENOTSUP, "{} is of version {}: run qemu-img amend -o compat=1.1 on it first", path,
               h.version);
  }
  if (h.refcount_order != 4) {
    util::fail(ENOTSUP, "{} has refcounts of {} bits, only 16 are supported", path,
               1u << h.refcount_order);
  }
  if (h.snapshots != 0) {
    util::fail(ENOTSUP,
               "{} has {} internal snapshots, which are not supported: remove them with "
               "qemu-img snapshot -d",
               path, h.snapshots);
  }
  if (h.has_bitmaps) {
    util::fail(ENOTSUP,
               "{} has persistent bitmaps, which are not supported: remove them with "
               "qemu-img bitmap --remove",
               path);
  }
}

void check_wishes(const Options &options, const Header &h) {
  if (options.size && *options.size != h.size) {
    util::fail(EINVAL,
               "size={}: {} exists and has {} bytes; leave size= out, or create=always "
               "replaces it",
               *options.size, options.path, h.size);
  }
  if (options.cluster_size && *options.cluster_size != h.cluster_size()) {
    util::fail(EINVAL,
               "cluster-size={}: {} exists and has clusters of {} bytes; leave "
               "cluster-size= out, or create=always replaces it",
               *options.cluster_size, options.path, h.cluster_size());
  }
  if (!options.backing) return;
  if (h.backing_file.empty() ||
      !same_file(resolve_backing(options.path, h.backing_file), *options.backing)) {
    util::fail(EINVAL,
               "backing={}: {} exists and its backing file is {}; leave backing= out, or "
               "create=always replaces it",
               *options.backing, options.path, h.backing_file.empty() ? "none" : h.backing_file);
  }
  if (options.backing_format != h.backing_format) {
    util::fail(EINVAL, "backing-format={}: {} exists and says {}", options.backing_format,
               options.path, h.backing_format);
  }
}

std::unique_ptr<Image> open_existing(const Options &options, const util::Log &log) {
  ImageFile file(util::open_file(options.path, O_RDWR), options.path, options.observer);
  check_regular(file.fd(), options.path);
  lock_image(file.fd(), options.path, Use::write);
  Header header = read_header(file);
  check_writable(header, options.path);
  check_wishes(options, header);
  std::unique_ptr<Source> backing;
  if (!header.backing_file.empty()) {
    if (header.backing_format.empty()) {
      util::fail(EINVAL,
                 "{} does not say the format of its backing file {}: set it with qemu-img "
                 "rebase -u -F FORMAT -b {} {}",
                 options.path, header.backing_file, header.backing_file, options.path);
    }
    backing = open_backing(options.path, resolve_backing(options.path, header.backing_file),
                           header.backing_format, options.settings.l2_cache_bytes);
  }
  return std::make_unique<Image>(std::move(file), header, std::move(backing), options.settings,
                                 log);
}

std::unique_ptr<Image> create_new(const Options &options, bool replace, const util::Log &log) {
  // What is there must not be in use; its lock is held until it has been replaced.
  util::Fd previous;
  if (replace) {
    previous = util::open_file(options.path, O_RDWR);
    check_regular(previous, options.path);
    lock_image(previous, options.path, Use::write);
  }
  std::unique_ptr<Source> backing;
  Header header;
  uint64_t cluster_size = options.cluster_size.value_or(default_cluster_size);
  header.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster_size));
  if (options.backing) {
    if (replace && same_file(options.path, *options.backing)) {
      util::fail(EINVAL, "backing={} is the image itself", *options.backing);
    }
    backing = open_backing(options.path, *options.backing, options.backing_format,
                           options.settings.l2_cache_bytes);
    header.backing_file = backing_name(options.path, *options.backing);
    header.backing_format = options.backing_format;
  }
  if (!options.size && !backing) {
    util::fail(EINVAL, "size= is required: {} has to be created", options.path);
  }
  header.size = options.size ? *options.size : Geometry::round_up(backing->size(), sector);
  lay_out(header);
  ImageFile file(create_file(options.path, header, replace), options.path, options.observer);
  return std::make_unique<Image>(std::move(file), header, std::move(backing), options.settings,
                                 log);
}

}  // namespace

std::unique_ptr<Image> open_image(const Options &options, const util::Log &log) {
  bool there = exists(options.path);
  if (!there && options.create == Create::never) {
    util::fail(ENOENT, "create=never: there is no {}", options.path);
  }
  if (there && options.create != Create::always) return open_existing(options, log);
  return create_new(options, there, log);
}

}  // namespace qcow2
