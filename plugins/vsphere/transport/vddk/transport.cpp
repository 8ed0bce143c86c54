// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/transport.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/transport/vddk/certificate.hpp"
#include "plugins/vsphere/transport/vddk/disk.hpp"
#include "plugins/vsphere/transport/vddk/start_message.hpp"

namespace vsphere::vddk {

VddkTransport::VddkTransport(const Settings &settings, FoundLibrary library, const util::Log &log)
    : settings_(settings), library_(std::move(library)), helper_(find_helper()), log_(log) {}

std::unique_ptr<DiskReader> VddkTransport::open(const DiskPlace &place) {
  if (place.info.capacity < sector_size) util::fail(EIO, "disk {} has no sector", place.info.key);
  if (thumbprint_.empty()) {
    const std::string &given = settings_.endpoint.thumbprint;
    thumbprint_ =
        with_colons(given.size() == sha1_digits ? given : certificate_sha1(settings_.endpoint));
  }
  DiskOptions options;
  options.helper = helper_;
  options.make_start = [this, place] {
    return make_start(settings_, library_, thumbprint_, place);
  };
  options.capacity = place.info.capacity;
  options.name = place.info.file + " on " + settings_.endpoint.host;
  options.retry = settings_.retry;
  options.deadlines.request = settings_.endpoint.stall_timeout;
  options.deadlines.stop = settings_.time_to_close();
  if (settings_.endpoint.interrupt) options.deadlines.interrupt = settings_.endpoint.interrupt;
  auto disk = std::make_unique<VddkDisk>(std::move(options), log_);
  mode_ = disk->mode();
  std::array<std::byte, sector_size> last;
  disk->read(last, place.info.capacity - sector_size);
  return disk;
}

std::string VddkTransport::description() const {
  return fmt::format("vddk {} ({}), {} requests at once, {}", library_.version, mode_,
                     concurrent_requests(settings_), library_.path);
}

}  // namespace vsphere::vddk
