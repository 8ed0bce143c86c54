// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"
#include "plugins/qcow2/existing_image.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/lifecycle/grow.hpp"
#include "plugins/qcow2/lifecycle/image_layout.hpp"
#include "plugins/qcow2/lifecycle/unfinished_image.hpp"
#include "plugins/qcow2/seal.hpp"
#include "plugins/qcow2/tables/table_check.hpp"

namespace qcow2 {

namespace {

constexpr uint64_t default_cluster_size = 64u << 10;

// Clusters are allocated at the end of the file.
void check_regular(const util::Fd &fd, const std::string &path) {
  struct stat st;
  if (::fstat(fd.get(), &st) < 0) util::fail_os(errno, "cannot stat {}", path);
  if (!S_ISREG(st.st_mode)) util::fail(EINVAL, "file={}: must be a regular file", path);
}

ChainRules chain_rules(const Settings &settings) {
  return {settings.l2_cache_bytes, settings.follow_backing, settings.lock, settings.read_only};
}

// The backing file of an image that exists, after check_settings().
std::unique_ptr<Disk> open_backing_of(const Settings &settings, const Header &header) {
  if (!settings.backing) return open_named_backing(settings.path, header, chain_rules(settings));
  return open_backing(settings.path, *settings.backing, header.backing_format,
                      chain_rules(settings));
}

// After a sync that failed the page cache may have what the disk does not, and no later sync writes
// it. An image that is still dirty may be of a run that ended so: what it has lost must be read as
// lost.
Header read_header_on_disk(const ImageFile &file) {
  Header header = read_header(file);
  if ((header.incompatible & dirty_bit) == 0) return header;
  file.sync_and_forget();
  return read_header(file);
}

void enlarge(const Settings &settings, const ImageFile &file, Header &header, const Disk *backing,
             ImageName *name) {
  if (backing != nullptr && backing->size() > header.size) {
    util::fail(EINVAL,
               "size={}: {} has {} bytes and its backing file {}, whose end would appear in it: "
               "run qemu-img "
               "resize on the image",
               *settings.size, settings.path, header.size, backing->size());
  }
  if (name != nullptr) name->make_partial();
  grow(file, header, *settings.size);
}

std::unique_ptr<Image> open_existing(const Settings &settings, const util::Log &log,
                                     std::unique_ptr<ImageName> name) {
  ImageFile file(util::open_file(settings.path, O_RDWR), settings.path, settings.observer);
  check_regular(file.fd(), settings.path);
  if (settings.lock) lock_image(file.fd(), settings.path, Use::write);
  Header header = read_header_on_disk(file);
  check_writable(header, settings.path);
  check_settings(settings, header);
  if (header.has_bitmaps && header.autoclear != 0) {
    log.warning("{} has persistent bitmaps: they become invalid when it is written to",
                settings.path);
  }
  auto backing = open_backing_of(settings, header);
  const bool clean = (header.incompatible & dirty_bit) == 0;
  if (settings.size.value_or(0) > header.size) {
    enlarge(settings, file, header, backing.get(), name.get());
    log.info("{}: enlarged to {} bytes", settings.path, header.size);
  }
  const bool made_dirty = clean && (header.incompatible & dirty_bit) != 0;
  return std::make_unique<Image>(std::move(file), header, std::move(backing), settings, log,
                                 std::move(name), made_dirty);
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

Identity new_identity(const std::string &path, const Disk *backing) {
  Identity identity;
  identity.uuid = random_uuid();
  if (backing != nullptr) identity.parent = uuid_from(backing->uuids().front());
  identity.label = std::filesystem::path(path).filename();
  return identity;
}

std::unique_ptr<Image> create_new(const Settings &settings, bool replace, const util::Log &log,
                                  std::unique_ptr<ImageName> name) {
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
  header.identity = new_identity(name ? name->file() : settings.path, backing.get());
  ImageFile file(create_file(settings.path, header, replace, settings.lock), settings.path,
                 settings.observer);
  header = read_header(file);  // as it has been laid out
  auto image = std::make_unique<Image>(std::move(file), header, std::move(backing), settings, log,
                                       std::move(name));
  try {
    image->preallocate(settings.preallocate);
  } catch (...) {
    ::unlink(settings.path.c_str());
    throw;
  }
  return image;
}

}  // namespace

std::unique_ptr<Image> open_image(const Settings &settings, const util::Log &log) {
  Place place = place_of(settings);
  if (settings.lock) remove_unfinished_images(place.settings.path);
  if (place.is_new) {
    return create_new(place.settings, place.replaces, log, std::move(place.name));
  }
  return open_existing(place.settings, log, std::move(place.name));
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

}  // namespace qcow2
