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
      "password=<PASSWORD>        (required) Password; - prompts, +FILE, -FD.\n"
      "cafile=<FILE>              Trusted certificate authorities (PEM).\n"
      "thumbprint=<AA:BB:...>     SHA-1 or SHA-256 of the server's certificate.\n"
      "insecure=yes|no            Do not verify the certificate (default: no).\n"
      "vm=<VM>                    (required) Path, name, moref=ID or uuid=UUID.\n"
      "disk=<DISK>                Key, position from 0, or label (default: all).\n"
      "since=<CHANGEID>|@<FILE>|@<DIR>\n"
      "                           Report only changes since then (default: all).\n"
      "on-reset=full|fail         If the changes are not known (default: full).\n"
      "cbt=on|off                 Use change tracking (default: on).\n"
      "enable-cbt=yes|no          Turn change tracking on if it is off (default: no).\n"
      "quiesce=yes|no             Quiesce the guest for the snapshot (default: no).\n"
      "snapshot=create|current|<MOREF>\n"
      "                           Create one or read an existing one (default: create).\n"
      "transport=auto|vddk|https|nbd\n"
      "                           How the data is read (default: auto).\n"
      "libdir=<DIR>               vddk: directory of VMware's VDDK.\n"
      "compression=none|zlib|fastlz|skipz\n"
      "                           vddk: compression of the transfer (default: none).\n"
      "vddk-transports=<MODES>    vddk: VDDK's own transports (default: nbdssl:nbd).\n"
      "vddk-config=<FILE>         vddk: configuration file for VDDK.\n"
      "nbd-uri=<URI>              nbd: NBD server that has the disk.\n"
      "connections=<N>            Connections that read data, 1 to 8 (default: 4).\n"
      "timeout=<SECONDS>          Limit for a request without progress (default: 60).\n"
      "end-timeout=<SECONDS>      Limit for the end, without answers (default: 60).\n"
      "retries=<N>                Retries after a failure, 0 to 10 (default: 3).\n"
      "retry-delay=<SECONDS>      Before the first retry, then doubled (default: 1).\n"
      "reconnect-for=<SECONDS>    Retry lost connections for so long (default: 0).";

  // Returns false if there is no such parameter. Throws util::Error EINVAL.
  bool set(const std::string &key, const std::string &value);
  // After the last one. Throws util::Error EINVAL if a parameter is missing or some exclude each other.
  void complete();

 private:
  bool set_vddk(const std::string &key, const std::string &value);
};

}  // namespace vsphere
