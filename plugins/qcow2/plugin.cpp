// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-qcow2-plugin: the callbacks of nbdkit.
#include "common/nbdkit/plugin.hpp"

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "plugins/qcow2/compressed/codec.hpp"
#include "plugins/qcow2/open.hpp"
#include "plugins/qcow2/parameters.hpp"
#include "plugins/qcow2/seal.hpp"

namespace qcow2 {

namespace {

class Connection {
 public:
  // One of them is null: the image with read-only=on, the layer without it.
  Connection(const Layer *layer, Image *image, bool sealed_by_flush)
      : layer_(layer), image_(image), sealed_by_flush_(sealed_by_flush) {
    if (image_ != nullptr) image_->attach();
  }
  ~Connection() {
    if (image_ != nullptr) image_->detach();
  }
  Connection(const Connection &) = delete;
  Connection &operator=(const Connection &) = delete;

  // Empty: none.
  std::string export_description() {
    std::vector<std::string> uuids = image_ != nullptr ? image_->uuids() : layer_->uuids();
    replication::ImageIdentity identity{.uuid = uuids.front(),
                                        .below = {uuids.begin() + 1, uuids.end()}};
    std::erase(identity.below, "");
    if (identity.uuid.empty()) return "";
    auto own = image_ != nullptr ? image_->mark().identity() : layer_->identity();
    if (own && own->state != Completeness::untold) {
      identity.complete = own->state == Completeness::complete;
      identity.checkpoint = own->checkpoint;
      identity.cut = own->cut;
    }
    identity.sealed_by_flush = sealed_by_flush_;
    return replication::format(identity);
  }
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
    make_durable_if_fua(flags);
  }
  void zero(uint32_t count, uint64_t offset, uint32_t flags) {
    image_->zero(offset, count);
    make_durable_if_fua(flags);
  }
  void trim(uint32_t count, uint64_t offset, uint32_t flags) {
    image_->trim(offset, count);
    make_durable_if_fua(flags);
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
  // A write may be durable only when entries are that earlier writes have changed, so FUA takes a
  // flush after the write. Flushes at the same time are shared.
  void make_durable_if_fua(uint32_t flags) {
    if ((flags & NBDKIT_FLAG_FUA) != 0) image_->make_durable();
  }

  const Layer *const layer_;
  Image *const image_;
  const bool sealed_by_flush_;  // seal=on: whoever flushes says that the image is complete
};

class Plugin {
 public:
  static constexpr const char *name = "qcow2";
  static constexpr const char *longname = "nbdkit qcow2 plugin";
  static constexpr const char *description = "write and read QCOW2 images in parallel";
  static constexpr const char *magic_config_key = "file";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() {
    return {{"libdeflate", libdeflate_version()}, {"libzstd", libzstd_version()}};
  }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }

  void get_ready() {
    if (parameters_.settings.read_only) {
      layer_ = open_read_only(parameters_.settings);
    } else {
      image_ = open_image(parameters_.settings, nbdkit::log());
    }
  }

  std::unique_ptr<Connection> open(bool) {
    const Settings &settings = parameters_.settings;
    return std::make_unique<Connection>(layer_.get(), image_.get(),
                                        settings.seal && settings.state.empty());
  }

  // After SIGTERM connections may still be open, but none of their requests is running.
  void cleanup() {
    if (image_) close_image(parameters_.settings, *image_, nbdkit::log());
  }

 private:
  Parameters parameters_;
  std::unique_ptr<Image> image_;  // with read-only=off
  std::unique_ptr<Layer> layer_;  // with read-only=on
};

}  // namespace

}  // namespace qcow2

REPLICATE_REGISTER_PLUGIN(qcow2::Plugin)
