// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/vm_session.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "common/durability/sync_point.hpp"

namespace vsphere {

namespace {

constexpr std::chrono::seconds watch_interval{5};
// Of each call: of the watch, and after a signal has ended the start.
constexpr std::chrono::seconds watch_deadline{10};
constexpr std::chrono::seconds cleanup_deadline{15};

}  // namespace

VmSession::VmSession(const Settings &settings, const util::Log &log)
    : settings_(settings),
      log_(log),
      client_(settings.endpoint, settings.credentials, settings.retry, log),
      tasks_(client_, settings.retry, log),
      transport_(make_transport(settings, log)) {}

void VmSession::start() {
  try {
    prepare();
    signals_->check();
  } catch (...) {
    stop();
    signals_.reset();
    throw;
  }
  REPLICATE_SYNC_POINT("vsphere.started");
}

void VmSession::serve() {
  REPLICATE_SYNC_POINT("vsphere.serve");
  signals_->hand_over();
  signals_.reset();
  client_.set_limits(watch_deadline, 0);
  watch_->start(watch_interval);
}

void VmSession::check_interrupt() const {
  if (signals_) signals_->check();
  if (stopping_watch_) util::fail(EINTR, "nbdkit is ending");
}

void VmSession::pause(std::chrono::milliseconds time) const {
  if (signals_) return signals_->sleep(time);
  std::this_thread::sleep_for(time);
}

const Disk &VmSession::disk(const std::string &name) const {
  if (name.empty()) return disks_.front();
  auto it = std::find_if(disks_.begin(), disks_.end(),
                         [&](const Disk &disk) { return disk.name == name; });
  if (it == disks_.end()) {
    util::fail(ENOENT, "no export \"{}\": the first one is \"{}\", nbdinfo --list shows all", name,
               disks_.front().name);
  }
  return *it;
}

void VmSession::disconnect() {
  client_.disconnect();
  for (const auto &disk : disks_) disk.reader->disconnect();
}

void VmSession::read(const Disk &disk, std::span<std::byte> buffer, uint64_t offset) {
  watch_->check();
  try {
    settings_.counters->count(buffer.size(), [&] { disk.reader->read(buffer, offset); });
  } catch (const util::Error &) {
    try {
      watch_->confirm();
    } catch (const SnapshotGone &) {
      throw;
    } catch (const std::exception &e) {
      log_.info("whether the snapshot is still there is not known: {}", e.what());
    }
    throw;
  }
  watch_->check();
}

void VmSession::confirm() {
  try {
    with_retries(settings_.retry, log_, "asking whether the snapshot is still there",
                 [&] { watch_->confirm(); });
  } catch (const SnapshotGone &) {
    throw;
  } catch (const util::Error &e) {
    util::fail(e.errnum(),
               "whether the snapshot {} is still there is not known, so no client is accepted: {}",
               snapshot_ref_.value, e.what());
  }
}

void VmSession::suspect() {
  watch_->suspect();
  watch_->check();
}

void VmSession::stop() noexcept {
  if (signals_) signals_->disregard();
  if (watch_) watch_->stop([&] { stopping_watch_ = true; });
  stopping_watch_ = false;
  client_.reset_limits();
  if (signals_ && signals_->received()) client_.set_limits(cleanup_deadline, 1);
  auto attempt = [&](const char *what, auto &&step) {
    try {
      step();
    } catch (const std::exception &e) {
      log_.error("{}: {}", what, e.what());
    } catch (...) {
      log_.error("{}", what);
    }
  };
  if (std::string summary = settings_.counters->summary(); !summary.empty()) {
    log_.info("vm={}: {}", settings_.vm, summary);
  }
  // Before the snapshot is removed: the last calls of a transport refer to it.
  for (const auto &disk : disks_) disk.reader->disconnect();
  if (snapshot_) {
    attempt(journal_ ? "the snapshot could not be removed (the next run removes it)"
                     : "the snapshot could not be removed: remove it in vSphere",
            [&] { snapshot_->remove(); });
    snapshot_.reset();
  }
  attempt("could not log out", [&] { client_.logout(transport_->session()); });
  disconnect();
  lock_.reset();
  journal_.reset();
}

}  // namespace vsphere
