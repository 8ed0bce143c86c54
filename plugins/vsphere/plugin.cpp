// SPDX-License-Identifier: BSD-3-Clause
//
// nbdkit-vsphere-plugin: the callbacks. The work is done by VmSession.
#include "common/nbdkit/plugin.hpp"

#include <curl/curl.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>

#include "common/nbd/handshake.hpp"
#include "common/nbdkit/end_watch.hpp"
#include "common/util/error.hpp"
#include "common/util/waiters.hpp"
#include "plugins/vsphere/parameters.hpp"
#include "plugins/vsphere/snapshot/abort_cleanup.hpp"
#include "plugins/vsphere/snapshot/exit_cleanup.hpp"
#include "plugins/vsphere/transport/vddk/installation.hpp"
#include "plugins/vsphere/vm_session.hpp"

namespace vsphere {

namespace {

// Initialises libcurl, which must be done before there are threads.
class CurlLibrary {
 public:
  CurlLibrary() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlLibrary() { curl_global_cleanup(); }
  CurlLibrary(const CurlLibrary &) = delete;
  CurlLibrary &operator=(const CurlLibrary &) = delete;
};

class Connection {
 public:
  Connection(VmSession &session, const Disk &disk, util::Waiters &clients)
      : session_(session), disk_(disk), clients_(clients) {}

  uint64_t get_size() { return disk_.info.capacity; }
  bool can_write() { return false; }
  bool can_extents() { return true; }
  bool can_multi_conn() { return true; }  // read-only
  nbdkit::Cache can_cache() { return nbdkit::Cache::none; }
  std::string export_description() { return replication::format(disk_.description); }
  // Each request is a round trip to the server. Change tracking has blocks of 64 KiB.
  nbdkit::BlockSize block_size() { return {1, 64 << 10, 32 << 20}; }

  void pread(std::span<std::byte> buffer, uint64_t offset) {
    const util::Waiters::Wait wait(clients_);
    try {
      session_.read(disk_, buffer, offset);
    } catch (const SnapshotGone &e) {
      throw nbdkit::Reported{e.errnum()};
    } catch (const util::Error &e) {
      if (e.errnum() != EINTR) throw;
      util::fail(ESHUTDOWN, "{}", e.what());
    }
  }

  void extents(uint32_t count, uint64_t offset, uint32_t flags, nbdkit::ExtentList &list) {
    disk_.map.for_each({offset, count}, [&](const extents::Extent &extent) {
      list.add(extent);
      return (flags & NBDKIT_FLAG_REQ_ONE) == 0;
    });
  }

 private:
  VmSession &session_;
  const Disk &disk_;
  util::Waiters &clients_;
};

class Plugin {
 public:
  static constexpr const char *name = "vsphere";
  static constexpr const char *longname = "nbdkit vsphere plugin";
  static constexpr const char *description =
      "the disks of a VMware virtual machine, and what has changed on them";
  static constexpr const char *config_help = Parameters::help;

  static nbdkit::Libraries libraries() {
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    return {
        {"libcurl", curl->version}, {"tls", curl->ssl_version}, {"libnbd", nbd::library_version()}};
  }

  Plugin() {
    RetryPolicy &retry = parameters_.settings.retry;
    retry.sleep = [this](std::chrono::milliseconds time) { sleep(time); };
    parameters_.settings.endpoint.interrupt = [this] {
      if (session_) session_->check_interrupt();
      if (serving_ && ending_) util::fail(EINTR, "nbdkit is ending");
    };
    retry.on_retry = [counters = parameters_.settings.counters] { counters->add_retry(); };
  }

  ~Plugin() {
    if (exit_cleanup_) exit_cleanup_->run();
  }

  bool config(const std::string &key, const std::string &value) {
    return parameters_.set(key, value);
  }
  void config_complete() { parameters_.complete(); }
  void dump_plugin();

  void get_ready() {
    session_.emplace(parameters_.settings, nbdkit::log());
    // Before the snapshot exists, and after libcurl has initialised the TLS library.
    exit_cleanup_.emplace([this] {
      serving_ = false;
      session_->stop();
    });
    session_->start();
    session_->disconnect();
  }

  void after_fork() {
    exit_cleanup_->keep_in_this_process();
    session_->serve();
    end_watch_.emplace(clients_, [this] { ending_ = true; });
    serving_ = true;
    install_abort_cleanup();
  }

  void cleanup() {
    if (exit_cleanup_) exit_cleanup_->run();
    end_watch_.reset();
  }

  void list_exports(bool, bool, nbdkit::ExportList &list) {
    for (const auto &disk : session_->disks()) {
      list.add(disk.name, replication::format(disk.description));
    }
  }

  std::string default_export(bool, bool) { return session_->disks().front().name; }

  std::unique_ptr<Connection> open(bool) {
    const char *name = nbdkit_export_name();
    if (name == nullptr) throw nbdkit::Reported{EIO};
    const Disk &disk = session_->disk(name);
    const util::Waiters::Wait wait(clients_);
    session_->confirm();
    return std::make_unique<Connection>(*session_, disk, clients_);
  }

 private:
  void install_abort_cleanup();

  // The pause before a retry. While nbdkit serves, it ends early if nbdkit is told to shut down.
  void sleep(std::chrono::milliseconds time);

  const CurlLibrary curl_;
  Parameters parameters_;
  std::optional<VmSession> session_;
  std::optional<ExitCleanup> exit_cleanup_;
  std::optional<AbortCleanup> abort_cleanup_;
  std::atomic<bool> serving_ = false;
  std::atomic<bool> ending_ = false;  // nbdkit is, and a client waits
  util::Waiters clients_;             // that wait for a server
  std::optional<nbdkit::EndWatch> end_watch_;
};

// Shows which transports are available; vddk is if the library is found, with libdir= if given.
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

void Plugin::install_abort_cleanup() {
  constexpr std::chrono::minutes deadline(5);
  try {
    abort_cleanup_.emplace(
        [this] {
          nbdkit::log().warning("nbdkit is being aborted; the snapshot is removed first");
          exit_cleanup_->run();
        },
        deadline);
  } catch (const std::exception &e) {  // a failure here must not stop the server
    nbdkit::log().warning("if nbdkit aborts, the snapshot stays: {}", e.what());
  }
}

void Plugin::sleep(std::chrono::milliseconds time) {
  if (!serving_) return session_->pause(time);
  session_->suspect();
  if (!nbdkit::sleep(time)) throw nbdkit::Reported{ESHUTDOWN};
}

}  // namespace

}  // namespace vsphere

REPLICATE_REGISTER_PLUGIN(vsphere::Plugin)
