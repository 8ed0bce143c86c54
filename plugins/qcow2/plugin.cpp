// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-qcow2-plugin: writes and reads QCOW2 images in parallel.
#include "common/nbdkit/plugin.hpp"

#include <bit>
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "common/nbdkit/params.hpp"
#include "plugins/qcow2/format/header.hpp"
#include "plugins/qcow2/open.hpp"

namespace qcow2 {

namespace {

class Connection {
 public:
  // One of them is null: the layer, or the image if the layer is only read.
  Connection(const Layer *layer, Image *image) : layer_(layer), image_(image) {
    if (image_ != nullptr) image_->attach();
  }
  ~Connection() {
    if (image_ != nullptr) image_->detach();
  }
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  uint64_t get_size() { return image_ != nullptr ? image_->size() : layer_->size(); }
  bool can_write() { return image_ != nullptr; }
  bool can_flush() { return true; }
  bool can_trim() { return true; }
  bool can_zero() { return true; }
  bool can_fast_zero() { return true; }
  bool can_extents() { return true; }
  bool can_multi_conn() { return true; }
  nbdkit::Fua can_fua() { return nbdkit::Fua::native; }
  nbdkit::BlockSize block_size() {
    uint64_t cluster = image_ != nullptr ? image_->cluster_size() : layer_->geometry.cluster_size();
    return {1, static_cast<uint32_t>(cluster), std::numeric_limits<uint32_t>::max()};
  }

  void pread(std::span<std::byte> buffer, uint64_t offset) {
    if (image_ != nullptr) {
      image_->read(buffer, offset);
    } else {
      layer_->read(buffer, offset);
    }
  }
  void pwrite(std::span<const std::byte> data, uint64_t offset, uint32_t flags) {
    image_->write(data, offset);
    flush_if_asked(flags);
  }
  void zero(uint32_t count, uint64_t offset, uint32_t flags) {
    image_->zero(offset, count);
    flush_if_asked(flags);
  }
  void trim(uint32_t count, uint64_t offset, uint32_t flags) {
    image_->trim(offset, count);
    flush_if_asked(flags);
  }
  void flush() {
    if (image_ != nullptr) image_->flush();
  }

  void extents(uint32_t count, uint64_t offset, uint32_t flags, nbdkit::ExtentList &list) {
    bool one = (flags & NBDKIT_FLAG_REQ_ONE) != 0;
    auto sink = [&](const extents::Extent &extent) {
      list.add(extent);
      return !one;
    };
    if (image_ != nullptr) {
      image_->extents({offset, count}, sink);
    } else {
      layer_->extents({offset, count}, sink);
    }
  }

 private:
  // What the write needs to be durable may be in entries that earlier writes have changed: a FUA
  // write is a flush after it, shared with the others'.
  void flush_if_asked(uint32_t flags) {
    if ((flags & NBDKIT_FLAG_FUA) != 0) image_->make_durable();
  }

  const Layer *const layer_;
  Image *const image_;
};

class Plugin {
 public:
  static constexpr const char *name = "qcow2";
  static constexpr const char *longname = "nbdkit qcow2 plugin";
  static constexpr const char *description = "write and read QCOW2 images in parallel";
  static constexpr const char *magic_config_key = "file";
  static constexpr const char *config_help =
      "[file=]<FILE>              (required) The image.\n"
      "size=<SIZE>                Virtual size, required for a new image without backing=.\n"
      "cluster-size=<SIZE>        Cluster size of a new image, 512 to 2M (default: 64K).\n"
      "backing=<FILE>|auto        Backing file of a new image; auto: follow what images name.\n"
      "backing-format=raw|qcow2   Its format, required with backing=.\n"
      "create=auto|always|never   Whether to create the image (default: auto, if it is missing).\n"
      "compress=none|zlib|zstd    Compress what is written (default: none).\n"
      "compress-level=<N>         1 to 12 for zlib, 1 to 22 for zstd (default: 3 of either).\n"
      "detect-zeroes=on|off       Store clusters of zeroes as zero clusters (default: on).\n"
      "preallocate=off|metadata|falloc  Of a new image (default: off).\n"
      "read-only=on|off           Change nothing, not even to repair (default: off).\n"
      "seal=on|off                Name it FILE.partial until it is whole (default: off).\n"
      "lock=on|off                Lock the files as QEMU does (default: on).\n"
      "l2-cache=<SIZE>            Memory for L2 tables, 1M to 4G (default: 32M).";

  bool config(const std::string &key, const std::string &value) {
    constexpr uint64_t max_size = std::numeric_limits<int64_t>::max();
    if (key == "file") {
      options_.path = nbdkit::absolute_path(value);
    } else if (key == "size") {
      options_.size = nbdkit::parse_size(key, value, sector, max_size);
    } else if (key == "cluster-size") {
      options_.cluster_size =
          nbdkit::parse_size(key, value, 1u << min_cluster_bits, 1u << max_cluster_bits);
      if (!std::has_single_bit(*options_.cluster_size)) {
        util::fail(EINVAL, "cluster-size={}: must be a power of two between 512 and 2M", value);
      }
    } else if (key == "backing" && value == "auto") {
      options_.follow_backing = true;
    } else if (key == "backing") {
      options_.backing = nbdkit::absolute_path(value);
    } else if (key == "backing-format") {
      options_.backing_format =
          nbdkit::parse_choice(key, value, {"raw", "qcow2"}) == 0 ? "raw" : "qcow2";
    } else if (key == "create") {
      options_.create = Create(nbdkit::parse_choice(key, value, {"auto", "always", "never"}));
    } else if (key == "compress") {
      compress_ = nbdkit::parse_choice(key, value, {"none", "zlib", "zstd"});
    } else if (key == "compress-level") {
      level_ = nbdkit::parse_unsigned(key, value, 1, max_level(CompressionType::zstd));
    } else if (key == "detect-zeroes") {
      options_.settings.detect_zeroes = nbdkit::parse_bool(key, value);
    } else if (key == "preallocate") {
      options_.preallocate =
          Preallocate(nbdkit::parse_choice(key, value, {"off", "metadata", "falloc"}));
    } else if (key == "read-only") {
      read_only_ = nbdkit::parse_bool(key, value);
    } else if (key == "seal") {
      options_.seal = nbdkit::parse_bool(key, value);
    } else if (key == "lock") {
      options_.lock = nbdkit::parse_bool(key, value);
    } else if (key == "l2-cache") {
      options_.settings.l2_cache_bytes =
          nbdkit::parse_size(key, value, 1u << 20, uint64_t{4} << 30);
    } else {
      return false;
    }
    return true;
  }

  void config_complete() {
    if (options_.path.empty()) util::fail(EINVAL, "file= is required: the image to write");
    if (options_.backing && options_.backing_format.empty()) {
      util::fail(EINVAL,
                 "backing-format=raw or backing-format=qcow2 is required with backing=: the "
                 "format is never guessed");
    }
    if (!options_.backing && !options_.backing_format.empty()) {
      util::fail(EINVAL,
                 "backing-format={} makes no sense without backing=", options_.backing_format);
    }
    if (options_.backing && options_.preallocate != Preallocate::off) {
      util::fail(EINVAL, "preallocate= makes no sense with backing={}: it would hide it",
                 *options_.backing);
    }
    choose_compression();
    if (!read_only_) return;
    if (options_.settings.compression) {
      util::fail(EINVAL,
                 "read-only=on makes no sense with compress={}: compressed clusters are "
                 "read without it",
                 name_of(options_.settings.compression->type));
    }
    if (options_.create == Create::always || options_.seal) {
      util::fail(EINVAL, "read-only=on makes no sense with {}",
                 options_.seal ? "seal=on" : "create=always");
    }
  }

  void get_ready() {
    if (read_only_) {
      reader_ = open_read_only(options_);
    } else {
      image_ = open_image(options_, nbdkit::log());
    }
  }

  std::unique_ptr<Connection> open(bool) {
    return std::make_unique<Connection>(reader_.get(), image_.get());
  }

  // On SIGTERM the connections may not have been closed; their requests are done.
  void cleanup() {
    if (image_) close_image(options_, *image_, nbdkit::log());
  }

 private:
  void choose_compression() {
    if (compress_ == 0) {
      if (level_) {
        util::fail(EINVAL, "compress-level={} makes no sense without compress=zlib or zstd",
                   *level_);
      }
      return;
    }
    auto type = compress_ == 1 ? CompressionType::zlib : CompressionType::zstd;
    int level = level_ ? static_cast<int>(*level_) : default_level(type);
    if (level > max_level(type)) {
      util::fail(EINVAL, "compress-level={}: must be between {} and {} with compress={}", level,
                 min_level(type), max_level(type), name_of(type));
    }
    if (options_.preallocate != Preallocate::off) {
      util::fail(EINVAL,
                 "preallocate= makes no sense with compress={}: clusters that have their place are "
                 "written as they are",
                 name_of(type));
    }
    options_.settings.compression = Compression{type, level};
  }

  Options options_;
  bool read_only_ = false;
  size_t compress_ = 0;  // none, zlib, zstd
  std::optional<unsigned> level_;
  std::unique_ptr<Image> image_;  // or
  std::unique_ptr<Layer> reader_;
};

}  // namespace

}  // namespace qcow2

REPLICATE_REGISTER_PLUGIN(qcow2::Plugin)
