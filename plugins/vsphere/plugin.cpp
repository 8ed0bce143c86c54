// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-vsphere-plugin: the disks of a VMware virtual machine, with what has changed as extents.
#include "common/nbdkit/plugin.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <string>

#include "common/nbd/uri.hpp"
#include "common/nbdkit/params.hpp"
#include "plugins/vsphere/last_will.hpp"
#include "plugins/vsphere/source.hpp"
#include "plugins/vsphere/thumbprint.hpp"
#include "plugins/vsphere/vddk/find.hpp"

namespace vsphere {

namespace {

// libcurl's own set-up, before there are threads.
class CurlLibrary {
 public:
  CurlLibrary() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlLibrary() { curl_global_cleanup(); }
  CurlLibrary(const CurlLibrary &) = delete;
  CurlLibrary &operator=(const CurlLibrary &) = delete;
};

class Connection {
 public:
  Connection(Source &source, const Disk &disk) : source_(source), disk_(disk) {}

  uint64_t get_size() { return disk_.info.capacity; }
  bool can_write() { return false; }
  bool can_extents() { return true; }
  bool can_multi_conn() { return true; }  // nothing is ever written
  nbdkit::Cache can_cache() { return nbdkit::Cache::none; }
  std::string export_description() { return convention::format(disk_.description); }
  // A request is a round trip to the server; change tracking knows blocks of 64 KiB.
  nbdkit::BlockSize block_size() { return {1, 64 << 10, 32 << 20}; }

  void pread(std::span<std::byte> buffer, uint64_t offset) { source_.read(disk_, buffer, offset); }

  void extents(uint32_t count, uint64_t offset, uint32_t flags, nbdkit::ExtentList &list) {
    disk_.map.for_each({offset, count}, [&](const extents::Extent &extent) {
      list.add(extent);
      return (flags & NBDKIT_FLAG_REQ_ONE) == 0;
    });
  }

 private:
  Source &source_;
  const Disk &disk_;
};

class Plugin {
 public:
  static constexpr const char *name = "vsphere";
  static constexpr const char *longname = "nbdkit vsphere plugin";
  static constexpr const char *description =
      "the disks of a VMware virtual machine, and what has changed on them";
  static constexpr const char *config_help =
      "server=<HOST>[:<PORT>]     (required) vCenter Server or ESXi host.\n"
      "user=<USER>                (required) User name.\n"
      "password=<PASSWORD>        (required) Password; - asks, +FILE, -FD.\n"
      "cafile=<FILE>              Certificate authorities to trust (PEM).\n"
      "thumbprint=<AA:BB:...>     SHA-1 or SHA-256 of the server's certificate.\n"
      "insecure=yes|no            Do not verify the certificate (default: no).\n"
      "vm=<VM>                    (required) Inventory path, name, moref=ID or uuid=UUID.\n"
      "disk=<DISK>                Device key, place from 0, or label (default: all).\n"
      "since=<CHANGEID>|@<FILE>   Only what has changed since then (default: all).\n"
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

  Plugin() {
    settings_.retry.sleep = [counters = settings_.counters](std::chrono::milliseconds time) {
      counters->count_retry();
      sleep(time);
    };
  }

  ~Plugin() {
    if (will_) will_->execute();
  }

  bool config(const std::string &key, const std::string &value);
  void config_complete();
  void dump_plugin();

  void get_ready() {
    load_since();
    source_.emplace(settings_, nbdkit::log());
    // Before the snapshot exists, and after libcurl has set up its TLS library.
    will_.emplace([this] {
      serving_ = false;
      source_->stop();
    });
    source_->start();
    source_->disconnect();
  }

  void after_fork() {
    will_->settle();
    serving_ = true;
  }

  void cleanup() {
    if (will_) will_->execute();
  }

  void list_exports(bool, bool, nbdkit::ExportList &list) {
    for (const auto &disk : source_->disks()) {
      list.add(disk.name, convention::format(disk.description));
    }
  }

  std::string default_export(bool, bool) { return source_->disks().front().name; }

  std::unique_ptr<Connection> open(bool) {
    return std::make_unique<Connection>(*source_, disk_called(nbdkit_export_name()));
  }

 private:
  // Waits before a retry. When the server is told to end, a client's request need not wait on.
  static void sleep(std::chrono::milliseconds time);

  bool config_vddk(const std::string &key, const std::string &value);
  void load_since();
  const Disk &disk_called(const char *export_name);

  const CurlLibrary curl_;
  Settings settings_;
  std::string since_;  // as given
  std::optional<Source> source_;
  std::optional<LastWill> will_;
  static inline std::atomic<bool> serving_ = false;
};

bool Plugin::config(const std::string &key, const std::string &value) {
  Settings &s = settings_;
  if (key == "server") {
    if (value.empty() || value.find_first_of("/@?# \t") != std::string::npos) {
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
    since_ = value;
  } else if (key == "on-reset") {
    s.fail_on_reset = nbdkit::parse_choice(key, value, {"full", "fail"}) == 1;
  } else if (key == "enable-cbt") {
    s.enable_tracking = nbdkit::parse_bool(key, value);
  } else if (key == "quiesce") {
    s.quiesce = nbdkit::parse_bool(key, value);
  } else if (key == "snapshot") {
    if (value.empty()) util::fail(EINVAL, "snapshot=: must be create, current or a moref");
    s.snapshot = value == "create" ? "" : value;
  } else if (key == "transport") {
    s.transport.kind = static_cast<TransportSettings::Kind>(
        nbdkit::parse_choice(key, value, {"auto", "vddk", "https", "nbd"}));
  } else if (key == "nbd-uri") {
    s.transport.nbd_uri = nbd::absolute_uri(value);
  } else if (config_vddk(key, value)) {
    s.transport.for_vddk = true;
  } else if (key == "connections") {
    s.connections = nbdkit::parse_unsigned(key, value, 1, 8);
  } else if (key == "timeout") {
    std::chrono::seconds timeout(nbdkit::parse_unsigned(key, value, 1, 600));
    s.endpoint.stall_timeout = timeout;
    s.endpoint.connect_timeout = std::min(Endpoint{}.connect_timeout, timeout);
  } else if (key == "retries") {
    s.retry.retries = nbdkit::parse_unsigned(key, value, 0, 10);
  } else if (key == "retry-delay") {
    s.retry.delay = std::chrono::milliseconds(nbdkit::parse_seconds(key, value, 0, 60'000));
  } else {
    return false;
  }
  return true;
}

bool Plugin::config_vddk(const std::string &key, const std::string &value) {
  TransportSettings &t = settings_.transport;
  if (key == "libdir") {
    t.libdir = nbdkit::absolute_path(value);
  } else if (key == "compression") {
    t.compression = static_cast<TransportSettings::Compression>(
        nbdkit::parse_choice(key, value, {"none", "zlib", "fastlz", "skipz"}));
  } else if (key == "vddk-transports") {
    t.vddk_transports = value;
  } else if (key == "vddk-config") {
    t.vddk_config = nbdkit::absolute_path(value);
  } else {
    return false;
  }
  return true;
}

// Which transports there are, and whether VDDK would be found with the libdir= given, if any.
void Plugin::dump_plugin() {
  auto library = vddk::find_library(settings_.transport.libdir);
  std::printf("transports=%shttps,nbd\n", library ? "vddk," : "");
  std::printf("vddk=%s\n", library ? library->path.c_str() : "not found");
  if (library) std::printf("vddk_version=%s\n", library->version.c_str());
  auto helper = [] {
    try {
      return vddk::find_helper();
    } catch (const util::Error &) {
      return std::string("not found");
    }
  };
  std::printf("vddk_helper=%s\n", helper().c_str());
}

void Plugin::config_complete() {
  auto require = [](const char *key, bool given, const char *what) {
    if (!given) util::fail(EINVAL, "{}= is missing: {}", key, what);
  };
  require("server", !settings_.endpoint.host.empty(), "the vCenter Server or ESXi host");
  require("user", !settings_.credentials.user.empty(), "the user to log in as");
  require("password", !settings_.credentials.password.empty(), "give it as +FILE, -FD or - (ask)");
  require("vm", !settings_.vm.empty(), "the virtual machine whose disks to serve");
  const Endpoint &e = settings_.endpoint;
  if (!e.cafile.empty() + !e.thumbprint.empty() + e.insecure > 1) {
    util::fail(EINVAL,
               "cafile=, thumbprint= and insecure=yes exclude each other: give one of them");
  }
  if (!settings_.snapshot.empty() && (settings_.enable_tracking || settings_.quiesce)) {
    util::fail(EINVAL, "snapshot={}: {} is of use only with snapshot=create", settings_.snapshot,
               settings_.quiesce ? "quiesce=yes" : "enable-cbt=yes");
  }
  check(settings_.transport, !settings_.disk.empty());
  if (!since_.empty() && since_[0] == '@') {
    since_ = fmt::format("@{}", nbdkit::absolute_path(since_.substr(1)));
  } else if (!since_.empty() && epoch_of(since_).empty()) {
    util::fail(EINVAL,
               "since={}: must be a changeId, \"52 de c0 d9 ... 63/81\", or @FILE, a state file",
               since_);
  }
}

// A state file that does not exist yet, or says that nothing is known, asks for a full copy.
void Plugin::load_since() {
  Since &since = settings_.since;
  since.origin = since_;
  if (since_.empty() || since_[0] != '@') {
    since.change_id = since_;
    return;
  }
  since.state = convention::load_state(since_.substr(1));
  if (since.state) since.change_id = since.state->checkpoint;
}

const Disk &Plugin::disk_called(const char *export_name) {
  if (export_name == nullptr) throw nbdkit::Reported{EIO};
  const std::vector<Disk> &disks = source_->disks();
  if (*export_name == '\0') return disks.front();
  auto it = std::find_if(disks.begin(), disks.end(),
                         [&](const Disk &disk) { return disk.name == export_name; });
  if (it == disks.end()) {
    util::fail(ENOENT, "no export \"{}\": the first one is \"{}\", nbdinfo --list shows all",
               export_name, disks.front().name);
  }
  return *it;
}

void Plugin::sleep(std::chrono::milliseconds time) {
  if (!serving_) return std::this_thread::sleep_for(time);
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  auto rest = std::chrono::nanoseconds(time - seconds);
  if (nbdkit_nanosleep(static_cast<unsigned>(seconds.count()),
                       static_cast<unsigned>(rest.count())) < 0) {
    throw nbdkit::Reported{ESHUTDOWN};
  }
}

}  // namespace

}  // namespace vsphere

REPLICATE_REGISTER_PLUGIN(vsphere::Plugin)
