// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/qcow2/existing_image.hpp"

#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/qcow2/disk/backing_chain.hpp"

namespace qcow2 {

void check_writable(const Header &h, const std::string &path) {
  if ((h.incompatible & corrupt_bit) != 0) {
    util::fail(EINVAL,
               "{} is marked corrupt: run qemu-img check -r all on it, or give read-only=on to "
               "read it",
               path);
  }
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

void check_settings(const Settings &settings, const Header &h) {
  if (settings.size && *settings.size < h.size) {
    util::fail(
        EINVAL,
        "size={}: {} exists with {} bytes and is not made smaller (qemu-img resize --shrink does "
        "that): leave size= out, or give create=always to replace it",
        *settings.size, settings.path, h.size);
  }
  if (settings.size && *settings.size > h.size && settings.read_only) {
    util::fail(EINVAL, "size={}: {} exists with {} bytes, and read-only=on does not make it larger",
               *settings.size, settings.path, h.size);
  }
  if (settings.cluster_size && *settings.cluster_size != h.cluster_size()) {
    util::fail(EINVAL,
               "cluster-size={}: {} exists with clusters of {} bytes: leave "
               "cluster-size= out, or give create=always to replace it",
               *settings.cluster_size, settings.path, h.cluster_size());
  }
  const auto &compression = settings.compression;
  if (auto type = CompressionType(h.compression_type); compression && compression->type != type) {
    util::fail(EINVAL,
               "compress={}: {} exists and its compression type is {}, which cannot be changed; "
               "use compress={}, or create=always to replace it",
               name_of(compression->type), settings.path, name_of(type), name_of(type));
  }
  if (!settings.backing) {
    if (h.backing_file.empty() || settings.follow_backing) return;
    util::fail(EPERM,
               "{} names {} as its backing file, which is not followed unasked: give backing=auto, "
               "or backing= with this file",
               settings.path, h.backing_file);
  }
  if (h.backing_file.empty() ||
      !same_file(resolve_backing(settings.path, h.backing_file), *settings.backing)) {
    util::fail(EINVAL,
               "backing={}: {} exists and its backing file is {}: give that, or create=always to "
               "replace it",
               *settings.backing, settings.path, h.backing_file.empty() ? "none" : h.backing_file);
  }
  if (settings.backing_format != h.backing_format) {
    util::fail(EINVAL, "backing-format={}: {} exists and says {}", settings.backing_format,
               settings.path, h.backing_format);
  }
}

}  // namespace qcow2
