// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/https_transport.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include "plugins/vsphere/descriptor.hpp"

namespace vsphere {

namespace {

constexpr uint64_t sector = 512;  // bytes

class FlatFile : public DiskReader {
 public:
  FlatFile(Datastore &datastore, DatastoreFile file, uint64_t size)
      : datastore_(datastore), file_(std::move(file)), size_(size) {}

  uint64_t size() const override { return size_; }
  void read(std::span<std::byte> buffer, uint64_t offset) override {
    datastore_.read(file_, buffer, offset);
  }
  void disconnect() noexcept override { datastore_.disconnect(); }

 private:
  Datastore &datastore_;
  const DatastoreFile file_;
  const uint64_t size_;
};

}  // namespace

HttpsTransport::HttpsTransport(const Endpoint &endpoint, const Credentials &credentials,
                               const RetryPolicy &policy, unsigned connections,
                               const util::Log &log)
    : connections_(connections), datastore_(endpoint, credentials, policy, connections, log) {}

std::unique_ptr<DiskReader> HttpsTransport::open(const DiskPlace &place) {
  const uint64_t capacity = place.info.capacity;
  DatastoreFile descriptor = parse_datastore_path(place.info.file, place.datacenter);
  FlatExtent extent = parse_descriptor(datastore_.read_text(descriptor), descriptor.name());
  DatastoreFile file = descriptor.sibling(extent.file);
  if (extent.size < capacity || capacity < sector) {
    util::fail(EIO, "{} describes {} bytes, but the disk has {}", descriptor.name(), extent.size,
               capacity);
  }
  std::array<std::byte, sector> last;
  uint64_t size = datastore_.read(file, last, capacity - sector);
  if (size < extent.size) {
    util::fail(EIO, "{} has {} bytes, its descriptor says {}", file.name(), size, extent.size);
  }
  return std::make_unique<FlatFile>(datastore_, file, size);
}

std::string HttpsTransport::description() const {
  return fmt::format("https, {} connections", connections_);
}

}  // namespace vsphere
