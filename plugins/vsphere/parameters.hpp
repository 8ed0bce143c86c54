// SPDX-License-Identifier: BSD-3-Clause
//
// The plugin's parameters. A part of the door.
#pragma once

#include <string>

#include "plugins/vsphere/settings.hpp"

namespace vsphere {

struct Parameters {
  Settings settings;

  static constexpr const char *help =
      "server=<HOST>[:<PORT>]     (required) vCenter Server or ESXi host.\n"
      "user=<USER>                (required) User name.\n"
      "password=<PASSWORD>        (required) Password; - asks, +FILE, -FD.\n"
      "cafile=<FILE>              Certificate authorities to trust (PEM).\n"
      "thumbprint=<AA:BB:...>     SHA-1 or SHA-256 of the server's certificate.\n"
      "insecure=yes|no            Do not verify the certificate (default: no).\n"
      "vm=<VM>                    (required) Inventory path, name, moref=ID or uuid=UUID.\n"
      "disk=<DISK>                Device key, place from 0, or label (default: all).\n"
      "since=<CHANGEID>|@<FILE>|@<DIR>\n"
      "                           Only what has changed since then (default: all).\n"
      "on-reset=full|fail         If that is not known: the whole disk, or fail (default: full).\n"
      "enable-cbt=yes|no          Turn change tracking on if it is off (default: no).\n"
      "quiesce=yes|no             Quiesce the guest for the snapshot (default: no).\n"
      "snapshot=create|current|<MOREF>  Make one, or read one there is (default: create).\n"
      "transport=auto|vddk|https|nbd\n"
      "                           How the data is read (default: auto).\n"
      "libdir=<DIR>               vddk: the directory of VMware's VDDK.\n"
      "compression=none|zlib|fastlz|skipz\n"
      "                           vddk: on the way from the host (default: none).\n"
      "vddk-transports=<MODES>    vddk: VDDK's own transports (default: nbdssl:nbd).\n"
      "vddk-config=<FILE>         vddk: a configuration file for VDDK.\n"
      "nbd-uri=<URI>              nbd: the NBD server that has the disk.\n"
      "connections=<N>            Connections that read, 1 to 8 (default: 4).\n"
      "timeout=<SECONDS>          Of a connection that moves nothing (default: 60).\n"
      "retries=<N>                Attempts after a failed one (default: 3).\n"
      "retry-delay=<SECONDS>      Before the first retry, then doubled (default: 1).";

  // One of the command line. False: it is not ours. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one: what is missing, or does not go together. Throws util::Error EINVAL.
  void complete();

 private:
  bool set_vddk(const std::string &key, const std::string &value);
};

}  // namespace vsphere
