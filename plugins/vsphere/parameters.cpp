// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/parameters.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "common/util/error.hpp"
#include "plugins/vsphere/changes/since.hpp"
#include "plugins/vsphere/http/thumbprint.hpp"
#include "plugins/vsphere/transport/transport.hpp"

namespace vsphere {

bool Parameters::set(const std::string &key, const std::string &value) {
  Settings &s = settings;
  if (key == "server") {
    // What stands before an "@" would be a user and a password, which are not for messages.
    if (value.find('@') != std::string::npos) {
      util::fail(EINVAL,
                 "server=: must be a host name or address, HOST or HOST:PORT; the user is user=");
    }
    if (value.empty() || value.find_first_of("/?# \t") != std::string::npos) {
      util::fail(EINVAL, "server={}: must be a host name or address, HOST or HOST:PORT", value);
    }
    s.endpoint.host = value;
  } else if (key == "user") {
    s.credentials.user = value;
  } else if (key == "password") {
    s.credentials.password = Secret(nbdkit::read_password(value));
  } else if (key == "cafile") {
    s.endpoint.cafile = nbdkit::absolute_path(value);
  } else if (key == "thumbprint") {
    s.endpoint.thumbprint = parse_thumbprint(value);
  } else if (key == "insecure") {
    s.endpoint.insecure = nbdkit::parse_bool(key, value);
  } else if (key == "vm") {
    s.vm = value;
  } else if (key == "disk") {
    s.disk = value;
  } else if (key == "since") {
    s.since = value;
  } else if (key == "on-reset") {
    s.fail_on_reset = nbdkit::parse_choice(key, value, {"full", "fail"}) == 1;
  } else if (key == "cbt") {
    s.use_tracking = nbdkit::parse_bool(key, value);
  } else if (key == "enable-cbt") {
    s.enable_tracking = nbdkit::parse_bool(key, value);
  } else if (key == "quiesce") {
    s.quiesce = nbdkit::parse_bool(key, value);
  } else if (key == "snapshot") {
    if (value.empty()) util::fail(EINVAL, "snapshot=: must be create, current or a moref");
    s.snapshot = value == "create" ? "" : value;
  } else if (key == "transport") {
    s.transport = static_cast<TransportKind>(
        nbdkit::parse_choice(key, value, {"auto", "vddk", "https", "nbd"}));
  } else if (key == "nbd-uri") {
    s.nbd_uri = nbd::absolute_uri(value);
  } else if (set_vddk(key, value)) {
    s.vddk.given = true;
  } else if (key == "connections") {
    s.connections = nbdkit::parse_unsigned(key, value, 1, 8);
  } else if (key == "timeout") {
    std::chrono::seconds timeout(nbdkit::parse_unsigned(key, value, 1, 600));
    s.endpoint.stall_timeout = timeout;
    s.endpoint.connect_timeout = std::min(Endpoint{}.connect_timeout, timeout);
  } else if (key == "end-timeout") {
    s.end_timeout = std::chrono::milliseconds(nbdkit::parse_seconds(key, value, 1'000, 600'000));
  } else if (key == "retries") {
    s.retry.retries = nbdkit::parse_unsigned(key, value, 0, 10);
  } else if (key == "retry-delay") {
    s.retry.delay = std::chrono::milliseconds(nbdkit::parse_seconds(key, value, 0, 60'000));
  } else if (key == "reconnect-for") {
    s.retry.reconnect_for =
        std::chrono::milliseconds(nbdkit::parse_seconds(key, value, 0, 86'400'000));
  } else {
    return false;
  }
  return true;
}

bool Parameters::set_vddk(const std::string &key, const std::string &value) {
  VddkSettings &v = settings.vddk;
  if (key == "libdir") {
    v.libdir = nbdkit::absolute_path(value);
  } else if (key == "compression") {
    v.compression = static_cast<VddkSettings::Compression>(
        nbdkit::parse_choice(key, value, {"none", "zlib", "fastlz", "skipz"}));
  } else if (key == "vddk-transports") {
    v.transports = value;
  } else if (key == "vddk-config") {
    v.config = nbdkit::absolute_path(value);
  } else {
    return false;
  }
  return true;
}

void Parameters::complete() {
  auto require = [](const char *key, bool given, const char *what) {
    if (!given) util::fail(EINVAL, "{}= is missing: {}", key, what);
  };
  require("server", !settings.endpoint.host.empty(), "the vCenter Server or ESXi host");
  require("user", !settings.credentials.user.empty(), "the user to log in as");
  require("password", !settings.credentials.password.empty(),
          "give it as +FILE, -FD, or - for a prompt");
  require("vm", !settings.vm.empty(), "the virtual machine whose disks to serve");
  const Endpoint &e = settings.endpoint;
  if (!e.cafile.empty() + !e.thumbprint.empty() + e.insecure > 1) {
    util::fail(EINVAL,
               "cafile=, thumbprint= and insecure=yes exclude each other: give one of them");
  }
  if (settings.enable_tracking && !settings.use_tracking) {
    util::fail(EINVAL, "cbt=off and enable-cbt=yes exclude each other");
  }
  if (!settings.snapshot.empty() && (settings.enable_tracking || settings.quiesce)) {
    util::fail(EINVAL, "snapshot={}: {} is of use only with snapshot=create", settings.snapshot,
               settings.quiesce ? "quiesce=yes" : "enable-cbt=yes");
  }
  check_transport(settings);
  std::string &since = settings.since;
  if (since.starts_with('@')) {
    since = fmt::format("@{}", nbdkit::absolute_path(since.substr(1)));
  } else if (!since.empty() && epoch_of(since).empty()) {
    util::fail(
        EINVAL,
        "since={}: must be a changeId, \"52 de c0 d9 ... 63/81\", or @FILE, a state file, or "
        "@DIRECTORY, with a state file for each disk",
        since);
  }
}

}  // namespace vsphere
