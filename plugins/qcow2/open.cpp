// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "common/durability/replace_file.hpp"
#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/existing_image.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

constexpr uint64_t default_cluster_size = 64u << 10;

// The name of an image until it is complete, with seal=on.
std::string partial_name(const std::string &path) {
  return path + ".partial";
}

bool exists(const std::string &path) {
  struct stat st;
  if (::stat(path.c_str(), &st) == 0) return true;
  if (errno != ENOENT) util::fail_os(errno, "cannot stat {}", path);
  return false;
}

// Clusters are allocated at the end of the file.
void check_regular(const util::Fd &fd, const std::string &path) {
  struct stat st;
  if (::fstat(fd.get(), &st) < 0) util::fail_os(errno, "cannot stat {}", path);
  if (!S_ISREG(st.st_mode)) util::fail(EINVAL, "file={}: must be a regular file", path);
}

ChainRules chain_rules(const Settings &settings) {
  return {settings.l2_cache_bytes, settings.follow_backing, settings.lock};
}

// The backing file of an image that exists, after check_settings().
std::unique_ptr<Disk> open_backing_of(const Settings &settings, const Header &header) {
  if (!settings.backing) return open_named_backing(settings.path, header, chain_rules(settings));
  return open_backing(settings.path, *settings.backing, header.backing_format,
                      chain_rules(settings));
}

std::unique_ptr<Image> open_existing(const Settings &settings, const util::Log &log) {
  ImageFile file(util::open_file(settings.path, O_RDWR), settings.path, settings.observer);
  check_regular(file.fd(), settings.path);
  if (settings.lock) lock_image(file.fd(), settings.path, Use::write);
  Header header = read_header(file);
  check_writable(header, settings.path);
  check_settings(settings, header);
  if (header.has_bitmaps && header.autoclear != 0) {
    log.warning("{} has persistent bitmaps: they become invalid when it is written to",
                settings.path);
  }
  auto backing = open_backing_of(settings, header);
  return std::make_unique<Image>(std::move(file), header, std::move(backing), settings, log);
}

Header new_header(const Settings &settings, const Disk *backing) {
  Header header;
  uint64_t cluster_size = settings.cluster_size.value_or(default_cluster_size);
  header.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster_size));
  if (backing != nullptr) {
    header.backing_file = backing_name(settings.path, *settings.backing);
    header.backing_format = settings.backing_format;
  }
  if (const auto &c = settings.compression; c && c->type != CompressionType::zlib) {
    header.compression_type = static_cast<uint8_t>(c->type);
    header.incompatible |= compression_bit;
  }
  if (!settings.size && backing == nullptr) {
    util::fail(EINVAL, "size= is required: {} has to be created", settings.path);
  }
  header.size = settings.size ? *settings.size : Geometry::round_up(backing->size(), sector);
  lay_out(header);
  return header;
}

std::unique_ptr<Image> create_new(const Settings &settings, bool replace, const util::Log &log) {
  // The file that is replaced must not be in use. Its lock is held until it is replaced.
  util::Fd previous;
  if (replace) {
    previous = util::open_file(settings.path, O_RDWR);
    check_regular(previous, settings.path);
    if (settings.lock) lock_image(previous, settings.path, Use::write);
  }
  std::unique_ptr<Disk> backing;
  if (settings.backing) {
    if (replace && same_file(settings.path, *settings.backing)) {
      util::fail(EINVAL, "backing={} is the image itself", *settings.backing);
    }
    backing = open_backing(settings.path, *settings.backing, settings.backing_format,
                           chain_rules(settings));
  }
  Header header = new_header(settings, backing.get());
  ImageFile file(create_file(settings.path, header, replace, settings.lock), settings.path,
                 settings.observer);
  auto image = std::make_unique<Image>(std::move(file), header, std::move(backing), settings, log);
  try {
    image->preallocate(settings.preallocate);
  } catch (...) {
    ::unlink(settings.path.c_str());
    throw;
  }
  return image;
}

// The settings with the name that the image has until it is complete.
Settings partial(const Settings &settings) {
  Settings result = settings;
  result.path = partial_name(settings.path);
  if (settings.create != Create::always && !exists(result.path) && exists(settings.path)) {
    util::fail(EEXIST,
               "seal=on: {} exists and is complete: create=always replaces it when a new image is "
               "complete, seal=off writes to it",
               settings.path);
  }
  return result;
}

}  // namespace

std::unique_ptr<Image> open_image(const Settings &wanted, const util::Log &log) {
  Settings settings = wanted.seal ? partial(wanted) : wanted;
  bool found = exists(settings.path);
  if (!found && settings.create == Create::never) {
    util::fail(ENOENT, "create=never: {} does not exist", settings.path);
  }
  if (found && settings.create != Create::always) return open_existing(settings, log);
  return create_new(settings, found, log);
}

std::unique_ptr<Layer> open_read_only(const Settings &settings) {
  ImageFile file(util::open_file(settings.path, O_RDONLY | O_NONBLOCK), settings.path);
  check_regular(file.fd(), settings.path);
  if (settings.lock) lock_image(file.fd(), settings.path, Use::backing);
  Header header = read_header(file);
  check_settings(settings, header);
  auto backing = open_backing_of(settings, header);
  return std::make_unique<Layer>(std::make_unique<ImageFile>(std::move(file)), header,
                                 std::move(backing), settings.l2_cache_bytes);
}

void close_image(const Settings &settings, Image &image, const util::Log &log) {
  image.finalise();
  if (!settings.seal) return;
  std::string partial = partial_name(settings.path);
  if (!image.is_flushed()) {
    log.warning(
        "{} keeps its name: no client has flushed it after the last write; the same command "
        "continues with it",
        partial);
    return;
  }
  durability::rename_file(partial, settings.path, settings.create == Create::always);
  log.info("{}: sealed", settings.path);
}

}  // namespace qcow2
