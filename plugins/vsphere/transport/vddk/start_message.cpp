// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/start_message.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <charconv>
#include <utility>

#include "plugins/vsphere/transport/vddk/abi.hpp"

namespace vsphere::vddk {

namespace {

// More than VDDK sends to a host at the same time, so that its queue does not run empty.
constexpr unsigned requests_per_connection = 4;

// Splits "host:port" and "[address]:port". Without a port it is 0, VDDK's default.
std::pair<std::string, uint32_t> split_host(const std::string &host) {
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

uint32_t open_flag(VddkSettings::Compression compression) {
  switch (compression) {
    case VddkSettings::Compression::zlib:
      return open_zlib;
    case VddkSettings::Compression::fastlz:
      return open_fastlz;
    case VddkSettings::Compression::skipz:
      return open_skipz;
    case VddkSettings::Compression::none:
      break;
  }
  return 0;
}

std::string node_name() {
  utsname name = {};
  return ::uname(&name) == 0 ? name.nodename : "unknown";
}

}  // namespace

Start make_start(const Settings &settings, const FoundLibrary &library,
                 const std::string &thumbprint, const DiskPlace &place) {
  auto [server, port] = split_host(settings.endpoint.host);
  Start start;
  start.library = library.path;
  start.directory = library.directory;
  start.config = settings.vddk.config;
  start.server = without_brackets(server);
  start.port = port;
  start.user = settings.credentials.user;
  start.password = Secret(std::string(settings.credentials.password.get()));
  start.thumbprint = thumbprint;
  start.vm = place.vm;
  start.snapshot = place.snapshot;
  start.path = place.info.file;
  start.transports = settings.vddk.transports;
  // The same for every run, so that the next one can end the access of one that crashed.
  start.identity =
      fmt::format("nbdkit-replicate on {} {} {}", node_name(), place.vm, place.info.key);
  start.open_flags = open_flag(settings.vddk.compression);
  start.slots = concurrent_requests(settings);
  return start;
}

unsigned concurrent_requests(const Settings &settings) {
  return settings.connections * requests_per_connection;
}

}  // namespace vsphere::vddk
