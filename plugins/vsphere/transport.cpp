// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport.hpp"

#include <cerrno>

#include "plugins/vsphere/https_transport.hpp"
#include "plugins/vsphere/nbd_transport.hpp"
#include "plugins/vsphere/source.hpp"

namespace vsphere {

void check(const TransportSettings &settings, bool one_disk) {
  const bool nbd = settings.kind == TransportSettings::Kind::nbd;
  if (nbd && settings.nbd_uri.empty()) {
    util::fail(EINVAL, "transport=nbd: nbd-uri= is missing: the NBD server that has the disk");
  }
  if (!nbd && !settings.nbd_uri.empty()) {
    util::fail(EINVAL, "nbd-uri= is for transport=nbd alone: add that, or leave nbd-uri= out");
  }
  if (nbd && !one_disk) {
    util::fail(EINVAL, "transport=nbd: disk= is missing: say which disk nbd-uri= has");
  }
}

std::unique_ptr<Transport> make_transport(const Settings &settings, const util::Log &log) {
  switch (settings.transport.kind) {
    case TransportSettings::Kind::nbd:
      return std::make_unique<NbdTransport>(settings.transport.nbd_uri, settings.connections,
                                            settings.retry, log);
    case TransportSettings::Kind::automatic:
    case TransportSettings::Kind::https:
      break;
  }
  return std::make_unique<HttpsTransport>(settings.endpoint, settings.credentials, settings.retry,
                                          settings.connections, log);
}

}  // namespace vsphere
