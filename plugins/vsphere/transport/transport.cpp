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

using Kind = TransportSettings::Kind;

std::unique_ptr<Transport> make_https(const Settings &settings, const util::Log &log) {
  return std::make_unique<HttpsTransport>(settings.endpoint, settings.credentials, settings.retry,
                                          settings.connections, log);
}

std::unique_ptr<Transport> make_vddk(const Settings &settings, const util::Log &log) {
  const std::string &libdir = settings.transport.libdir;
  std::optional<vddk::FoundLibrary> library = vddk::find_library(libdir);
  if (!library) {
    util::fail(ENOENT,
               "there is no libvixDiskLib.so.9, .8, .7 or .6 in {}: libdir= must be the directory "
               "of VMware's VDDK that has lib64 in it",
               libdir.empty() ? vddk::usual_places() : fmt::format("{0}/lib64 or {0}", libdir));
  }
  return std::make_unique<vddk::VddkTransport>(settings, *library, log);
}

}  // namespace

void check(const TransportSettings &settings, bool one_disk) {
  const bool nbd = settings.kind == Kind::nbd;
  if (nbd && settings.nbd_uri.empty()) {
    util::fail(EINVAL, "transport=nbd: nbd-uri= is missing: the NBD server that has the disk");
  }
  if (!nbd && !settings.nbd_uri.empty()) {
    util::fail(EINVAL, "nbd-uri= is for transport=nbd alone: add that, or leave nbd-uri= out");
  }
  if (nbd && !one_disk) {
    util::fail(EINVAL, "transport=nbd: disk= is missing: say which disk nbd-uri= has");
  }
  const bool vddk = settings.kind == Kind::vddk ||
                    (settings.kind == Kind::automatic && vddk::find_library(settings.libdir)) ||
                    (settings.kind == Kind::automatic && !settings.libdir.empty());
  if (settings.for_vddk && !vddk) {
    util::fail(EINVAL,
               "libdir=, compression=, vddk-transports= and vddk-config= are for transport=vddk "
               "alone{}",
               settings.kind == Kind::automatic
                   ? ", and no VDDK was found: give its directory as libdir="
                   : "");
  }
}

std::unique_ptr<Transport> make_transport(const Settings &settings, const util::Log &log) {
  switch (settings.transport.kind) {
    case Kind::nbd:
      return std::make_unique<NbdTransport>(settings.transport.nbd_uri, settings.connections,
                                            settings.endpoint.stall_timeout, settings.retry, log);
    case Kind::vddk:
      return make_vddk(settings, log);
    case Kind::https:
      break;
    case Kind::automatic:
      if (!settings.transport.libdir.empty() || vddk::find_library("")) {
        return make_vddk(settings, log);
      }
      log.debug("transport=auto: there is no VDDK in {}", vddk::usual_places());
      break;
  }
  return make_https(settings, log);
}

}  // namespace vsphere
