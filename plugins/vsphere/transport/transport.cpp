// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/transport.hpp"

#include <cerrno>
#include <optional>

#include "plugins/vsphere/settings.hpp"
#include "plugins/vsphere/transport/https/transport.hpp"
#include "plugins/vsphere/transport/nbd.hpp"
#include "plugins/vsphere/transport/vddk/transport.hpp"

namespace vsphere {

namespace {

// What transport=auto comes to: VDDK if libdir= is given or VDDK is installed, else HTTPS.
TransportKind chosen_kind(const Settings &settings) {
  if (settings.transport != TransportKind::automatic) return settings.transport;
  const bool vddk = !settings.vddk.libdir.empty() || vddk::find_library("");
  return vddk ? TransportKind::vddk : TransportKind::https;
}

std::unique_ptr<Transport> make_vddk(const Settings &settings, const util::Log &log) {
  const std::string &libdir = settings.vddk.libdir;
  std::optional<vddk::FoundLibrary> library = vddk::find_library(libdir);
  if (!library) {
    util::fail(ENOENT,
               "there is no libvixDiskLib.so.9, .8, .7 or .6 in {}: libdir= must be the directory "
               "of VMware's VDDK that contains lib64",
               libdir.empty() ? vddk::usual_places() : fmt::format("{0}/lib64 or {0}", libdir));
  }
  return std::make_unique<vddk::VddkTransport>(settings, *library, log);
}

}  // namespace

void check_transport(const Settings &settings) {
  const bool automatic = settings.transport == TransportKind::automatic;
  const bool nbd = settings.transport == TransportKind::nbd;
  if (nbd && settings.nbd_uri.empty()) {
    util::fail(EINVAL, "transport=nbd: nbd-uri= is missing: the NBD server that has the disk");
  }
  if (!nbd && !settings.nbd_uri.empty()) {
    util::fail(EINVAL, "nbd-uri= is only for transport=nbd: add transport=nbd or remove nbd-uri=");
  }
  if (nbd && settings.disk.empty()) {
    util::fail(EINVAL, "transport=nbd: disk= is missing: which of the disks nbd-uri= has");
  }
  if (settings.vddk.given && chosen_kind(settings) != TransportKind::vddk) {
    util::fail(EINVAL,
               "libdir=, compression=, vddk-transports= and vddk-config= are only for "
               "transport=vddk{}",
               automatic ? ", and no VDDK was found: give its directory as libdir=" : "");
  }
}

std::unique_ptr<Transport> make_transport(const Settings &settings, const util::Log &log) {
  switch (chosen_kind(settings)) {
    case TransportKind::nbd:
      return std::make_unique<NbdTransport>(settings.nbd_uri, settings.connections,
                                            settings.endpoint.stall_timeout,
                                            settings.endpoint.interrupt, settings.retry, log);
    case TransportKind::vddk:
      return make_vddk(settings, log);
    case TransportKind::https:
    case TransportKind::automatic:
      break;
  }
  if (settings.transport == TransportKind::automatic) {
    log.debug("transport=auto: there is no VDDK in {}", vddk::usual_places());
  }
  return std::make_unique<HttpsTransport>(settings.endpoint, settings.credentials, settings.retry,
                                          settings.connections, log);
}

}  // namespace vsphere
