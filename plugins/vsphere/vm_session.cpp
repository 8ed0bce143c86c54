// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/vm_session.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "plugins/vsphere/snapshot/blocked_signals.hpp"

namespace vsphere {

namespace {

constexpr std::chrono::seconds watch_interval{5};
constexpr std::chrono::seconds watch_deadline{10};  // of each call

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
  close_disks();
  transport_->disconnect();
}

// At the same time: a helper of VDDK that hangs takes as long as it is given.
void VmSession::close_disks() noexcept {
  std::vector<std::thread> others;
  for (size_t i = 1; i < disks_.size(); ++i) {
    DiskReader &reader = *disks_[i].reader;
    try {
      const BlockedSignals blocked;
      others.emplace_back([&reader] { reader.disconnect(); });
    } catch (const std::exception &) {  // no memory for a thread
      reader.disconnect();
    }
  }
  if (!disks_.empty()) disks_.front().reader->disconnect();
  for (auto &thread : others) thread.join();
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

// What remains if the snapshot is not removed.
std::string VmSession::left_behind() const {
  const std::string &moref = snapshot_->ref().value;
  return fmt::format(
      "the snapshot{} of virtual machine {} could not be removed and is left behind{}: {}",
      moref.empty() ? "" : fmt::format(" {} (\"{}\")", moref, snapshot_name_), snapshot_->vm_name(),
      moref.empty() ? ", if the server has made it" : "",
      journal_
          ? fmt::format("its token is in {}, by which the next run with this since= removes it",
                        journal_->path())
          : "remove it in vSphere");
}

void VmSession::stop() noexcept {
  if (signals_) signals_->disregard();
  if (watch_) watch_->stop([&] { stopping_watch_ = true; });
  stopping_watch_ = false;
  // Half, so that a call can be repeated; more often only if nobody waits for the end.
  client_.set_limits(settings_.time_to_remove() / 2,
                     signals_ && signals_->received() ? 1 : settings_.retry.retries);
  client_.set_patience(settings_.time_to_remove());
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
  close_disks();
  if (snapshot_) {
    const std::string left = left_behind();
    attempt(left.c_str(), [&] { snapshot_->remove(); });
    snapshot_.reset();
  }
  if (client_.out_of_patience()) {
    log_.info("the server is not told to end the session, which expires");
  } else {
    attempt("could not log out", [&] { client_.logout(transport_->end_session()); });
  }
  disconnect();
  lock_.reset();
  journal_.reset();
}

}  // namespace vsphere
