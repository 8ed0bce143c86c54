// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/file/publish.hpp"

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
    util::fail(ENOTSUP,
               "{} is of version {}: run qemu-img amend -o compat=1.1 on it first, or give "
               "read-only=on",
               path, h.version);
  }
  if (h.snapshots != 0) {
    util::fail(ENOTSUP,
               "{} has {} internal snapshots, which are not supported: remove them with "
               "qemu-img snapshot -d, or give read-only=on",
               path, h.snapshots);
  }
}

void check_wishes(const Options &options, const Header &h) {
  if (options.size && *options.size != h.size) {
    util::fail(EINVAL,
               "size={}: {} exists and has {} bytes, and is not resized here (qemu-img resize does "
               "that); leave size= out, or create=always replaces it",
               *options.size, options.path, h.size);
  }
  if (options.cluster_size && *options.cluster_size != h.cluster_size()) {
    util::fail(EINVAL,
               "cluster-size={}: {} exists and has clusters of {} bytes; leave "
               "cluster-size= out, or create=always replaces it",
               *options.cluster_size, options.path, h.cluster_size());
  }
  const auto &compression = options.settings.compression;
  if (auto type = CompressionType(h.compression_type); compression && compression->type != type) {
    util::fail(EINVAL,
               "compress={}: {} exists and its compression type is {}, which cannot be changed; "
               "use compress={}, or create=always replaces it",
               name_of(compression->type), options.path, name_of(type), name_of(type));
  }
  if (!options.backing) {
    if (h.backing_file.empty() || options.follow_backing) return;
    util::fail(EPERM,
               "{} names {} as its backing file, which is not followed unasked: give backing=auto "
               "or backing= with its name",
               options.path, h.backing_file);
  }
  if (h.backing_file.empty() ||
      !same_file(resolve_backing(options.path, h.backing_file), *options.backing)) {
    util::fail(EINVAL,
               "backing={}: {} exists and its backing file is {}; give that, or create=always "
               "replaces it",
               *options.backing, options.path, h.backing_file.empty() ? "none" : h.backing_file);
  }
  if (options.backing_format != h.backing_format) {
    util::fail(EINVAL, "backing-format={}: {} exists and says {}", options.backing_format,
               options.path, h.backing_format);
  }
}

ChainRules chain_rules(const Options &options) {
  return {options.settings.l2_cache_bytes, options.follow_backing, options.lock};
}

// Of an image that exists, once check_wishes has let it pass.
std::unique_ptr<Source> open_backing_of(const Options &options, const Header &header) {
  if (!options.backing) return open_named_backing(options.path, header, chain_rules(options));
  return open_backing(options.path, *options.backing, header.backing_format, chain_rules(options));
}

std::unique_ptr<Image> open_existing(const Options &options, const util::Log &log) {
  ImageFile file(util::open_file(options.path, O_RDWR), options.path, options.observer);
  check_regular(file.fd(), options.path);
  if (options.lock) lock_image(file.fd(), options.path, Use::write);
  Header header = read_header(file);
  check_writable(header, options.path);
  check_wishes(options, header);
  if (header.has_bitmaps && header.autoclear != 0) {
    log.warning("{} has persistent bitmaps: they become invalid as soon as it is written to",
                options.path);
  }
  auto backing = open_backing_of(options, header);
  return std::make_unique<Image>(std::move(file), header, std::move(backing), options.settings,
                                 log);
}

std::unique_ptr<Image> create_new(const Options &options, bool replace, const util::Log &log) {
  // What is there must not be in use; its lock is held until it has been replaced.
  util::Fd previous;
  if (replace) {
    previous = util::open_file(options.path, O_RDWR);
    check_regular(previous, options.path);
    if (options.lock) lock_image(previous, options.path, Use::write);
  }
  std::unique_ptr<Source> backing;
  Header header;
  uint64_t cluster_size = options.cluster_size.value_or(default_cluster_size);
  header.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster_size));
  if (options.backing) {
    if (replace && same_file(options.path, *options.backing)) {
      util::fail(EINVAL, "backing={} is the image itself", *options.backing);
    }
    backing =
        open_backing(options.path, *options.backing, options.backing_format, chain_rules(options));
    header.backing_file = backing_name(options.path, *options.backing);
    header.backing_format = options.backing_format;
  }
  if (const auto &wanted = options.settings.compression;
      wanted && wanted->type != CompressionType::zlib) {
    header.compression_type = static_cast<uint8_t>(wanted->type);
    header.incompatible |= compression_bit;
  }
  if (!options.size && !backing) {
    util::fail(EINVAL, "size= is required: {} has to be created", options.path);
  }
  header.size = options.size ? *options.size : Geometry::round_up(backing->size(), sector);
  lay_out(header);
  ImageFile file(create_file(options.path, header, replace, options.lock), options.path,
                 options.observer);
  auto image =
      std::make_unique<Image>(std::move(file), header, std::move(backing), options.settings, log);
  try {
    image->preallocate(options.preallocate);
  } catch (...) {
    ::unlink(options.path.c_str());
    throw;
  }
  return image;
}

// What is asked for, with the name that the image has until it is sealed.
Options partial(const Options &options) {
  Options result = options;
  result.path = partial_name(options.path);
  if (options.create != Create::always && !exists(result.path) && exists(options.path)) {
    util::fail(EEXIST,
               "seal=on: {} is there and is whole: create=always replaces it once the new image is "
               "whole, seal=off writes to it as it is",
               options.path);
  }
  return result;
}

}  // namespace

std::unique_ptr<Image> open_image(const Options &wanted, const util::Log &log) {
  Options options = wanted.seal ? partial(wanted) : wanted;
  bool there = exists(options.path);
  if (!there && options.create == Create::never) {
    util::fail(ENOENT, "create=never: there is no {}", options.path);
  }
  if (there && options.create != Create::always) return open_existing(options, log);
  return create_new(options, there, log);
}

std::unique_ptr<Layer> open_read_only(const Options &options) {
  ImageFile file(util::open_file(options.path, O_RDONLY | O_NONBLOCK), options.path);
  check_regular(file.fd(), options.path);
  if (options.lock) lock_image(file.fd(), options.path, Use::backing);
  Header header = read_header(file);
  check_wishes(options, header);
  auto backing = open_backing_of(options, header);
  return std::make_unique<Layer>(std::move(file), header, std::move(backing),
                                 options.settings.l2_cache_bytes);
}

void close_image(const Options &options, Image &image, const util::Log &log) {
  image.finalise();
  if (!options.seal) return;
  if (!image.is_flushed()) {
    log.warning(
        "{} keeps its name: no client has flushed it after its last write; the same "
        "command again goes on with it",
        partial_name(options.path));
    return;
  }
  seal(options.path, options.create == Create::always);
  log.info("{}: sealed", options.path);
}

}  // namespace qcow2
