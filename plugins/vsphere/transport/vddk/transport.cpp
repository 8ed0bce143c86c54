// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/transport.hpp"

#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/transport/vddk/abi.hpp"
#include "plugins/vsphere/transport/vddk/certificate.hpp"
#include "plugins/vsphere/transport/vddk/disk.hpp"

namespace vsphere::vddk {

namespace {

// Requests that VDDK has at once for each of connections=; more than it sends to a host, so that it
// need not wait for us.
constexpr unsigned slots_per_connection = 4;

// "host:port" and "[address]:port"; a port of 0 is the default.
std::pair<std::string, uint32_t> split(const std::string &host) {
  auto colon = host.rfind(':');
  auto bracket = host.rfind(']');
  if (colon == std::string::npos || (bracket != std::string::npos && colon < bracket)) {
    return {host, 0};
  }
  uint32_t port = 0;
  std::from_chars(host.data() + colon + 1, host.data() + host.size(), port);
  return {host.substr(0, colon), port};
}

std::string without_brackets(const std::string &host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

uint32_t flag_of(TransportSettings::Compression compression) {
  switch (compression) {
    case TransportSettings::Compression::zlib:
      return open_zlib;
    case TransportSettings::Compression::fastlz:
      return open_fastlz;
    case TransportSettings::Compression::skipz:
      return open_skipz;
    case TransportSettings::Compression::none:
      break;
  }
  return 0;
}

std::string node_name() {
  utsname name = {};
  return ::uname(&name) == 0 ? name.nodename : "unknown";
}

}  // namespace

VddkTransport::VddkTransport(const Settings &settings, FoundLibrary library, const util::Log &log)
    : settings_(settings), library_(std::move(library)), helper_(find_helper()), log_(log) {}

std::unique_ptr<DiskReader> VddkTransport::open(const DiskPlace &place) {
  if (place.info.capacity < sector_size) util::fail(EIO, "disk {} has no sector", place.info.key);
  if (thumbprint_.empty()) {
    const std::string &given = settings_.endpoint.thumbprint;
    thumbprint_ =
        with_colons(given.size() == sha1_digits ? given : certificate_sha1(settings_.endpoint));
  }
  auto start = [this, place] {
    auto [server, port] = split(settings_.endpoint.host);
    Start s;
    s.library = library_.path;
    s.directory = library_.directory;
    s.config = settings_.transport.vddk_config;
    s.server = without_brackets(server);
    s.port = port;
    s.user = settings_.credentials.user;
    s.password = Secret(std::string(settings_.credentials.password.get()));
    s.thumbprint = thumbprint_;
    s.vm = place.vm;
    s.snapshot = place.snapshot;
    s.path = place.info.file;
    s.transports = settings_.transport.vddk_transports;
    // The same in the next run, which ends the access if this one could not.
    s.identity = fmt::format("nbdkit-replicate on {} {} {}", node_name(), place.vm, place.info.key);
    s.open_flags = flag_of(settings_.transport.compression);
    s.slots = settings_.connections * slots_per_connection;
    return s;
  };
  Deadlines deadlines;
  deadlines.request = settings_.endpoint.stall_timeout;
  auto disk = std::make_unique<VddkDisk>(
      DiskSettings{helper_, start, place.info.capacity,
                   place.info.file + " on " + settings_.endpoint.host, settings_.retry, deadlines},
      log_);
  mode_ = disk->mode();
  std::array<std::byte, sector_size> last;
  disk->read(last, place.info.capacity - sector_size);
  return disk;
}

std::string VddkTransport::description() const {
  return fmt::format("vddk {} ({}), {} requests at once, {}", library_.version, mode_,
                     settings_.connections * slots_per_connection, library_.path);
}

}  // namespace vsphere::vddk
