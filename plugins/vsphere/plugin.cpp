// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-vsphere-plugin: the disks of a VMware virtual machine, with what has changed as extents.
#include "common/nbdkit/plugin.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "plugins/vsphere/parameters.hpp"
#include "plugins/vsphere/snapshot/abort_cleanup.hpp"
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"
#include "plugins/vsphere/transport/vddk/installation.hpp"
#include "plugins/vsphere/vm_session.hpp"

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
  std::string export_description() { return replication::format(disk_.description); }
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
  static constexpr const char *config_help = Parameters::help;

  Plugin() {
    RetryPolicy &retry = parameters_.settings.retry;
    retry.sleep = [this](std::chrono::milliseconds time) { sleep(time); };
    retry.count = [counters = parameters_.settings.counters] { counters->count_retry(); };
  }

  ~Plugin() {
    if (will_) will_->execute();
  }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }
  void dump_plugin();

  void get_ready() {
    source_.emplace(parameters_.settings, nbdkit::log());
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
    watch_aborts();
  }

  void cleanup() {
    if (will_) will_->execute();
  }

  void list_exports(bool, bool, nbdkit::ExportList &list) {
    for (const auto &disk : source_->disks()) {
      list.add(disk.name, replication::format(disk.description));
    }
  }

  std::string default_export(bool, bool) { return source_->disks().front().name; }

  std::unique_ptr<Connection> open(bool) {
    return std::make_unique<Connection>(*source_, disk_called(nbdkit_export_name()));
  }

 private:
  void watch_aborts();

  // Sits out a pause. When the server is told to end, a client's request need not wait on.
  void sleep(std::chrono::milliseconds time);

  const Disk &disk_called(const char *export_name);

  const CurlLibrary curl_;
  Parameters parameters_;
  std::optional<Source> source_;
  std::optional<LastWill> will_;
  std::optional<AbortWatch> abort_watch_;
  std::atomic<bool> serving_ = false;
};

// Which transports there are, and whether VDDK would be found with the libdir= given, if any.
void Plugin::dump_plugin() {
  auto library = vddk::find_library(parameters_.settings.vddk.libdir);
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

void Plugin::watch_aborts() {
  constexpr std::chrono::minutes deadline(5);
  try {
    abort_watch_.emplace(
        [this] {
          nbdkit::log().warning("nbdkit is being aborted; the snapshot is removed first");
          will_->execute();
        },
        deadline);
  } catch (const std::exception &e) {  // nothing may fail after the fork
    nbdkit::log().warning("if nbdkit is aborted the snapshot is left to the next run: {}",
                          e.what());
  }
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
  if (!serving_) return source_->pause(time);
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
