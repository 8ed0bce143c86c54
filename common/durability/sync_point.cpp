// SPDX-License-Identifier: BSD-3-Clause
#include "common/durability/sync_point.hpp"

#ifdef REPLICATE_SYNC_POINTS

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace durability {

namespace {

// Of the holds that exist. Not util::Mutex: the state of a Hold is guarded by a global one.
struct Registry {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<SyncPoint::Hold *> holds;
  std::atomic<bool> any = false;
};

Registry &registry() {
  static Registry r;
  return r;
}

void hold_by_file(const std::string &directory, const char *name) {
  std::string hold = directory + "/" + name + ".hold";
  if (::access(hold.c_str(), F_OK) != 0) return;
  int fd = ::open((directory + "/" + name + ".held").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  while (::access(hold.c_str(), F_OK) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

}  // namespace

void SyncPoint::reach(const char *name) {
  static const char *directory = std::getenv("REPLICATE_SYNC_DIR");
  if (directory != nullptr) hold_by_file(directory, name);
  Registry &r = registry();
  if (!r.any.load()) return;
  std::unique_lock lock(r.mutex);
  auto found = std::find_if(r.holds.begin(), r.holds.end(), [&](const Hold *hold) {
    return hold->name_ == name && !hold->reached_ && !hold->released_;
  });
  if (found == r.holds.end()) return;
  Hold *hold = *found;
  hold->reached_ = true;
  r.changed.notify_all();
  // The hold may be gone when the thread is let go: it is looked for anew each time.
  r.changed.wait(lock, [&] {
    return std::find(r.holds.begin(), r.holds.end(), hold) == r.holds.end() || hold->released_;
  });
}

SyncPoint::Hold::Hold(std::string name) : name_(std::move(name)) {
  Registry &r = registry();
  std::lock_guard lock(r.mutex);
  r.holds.push_back(this);
  r.any = true;
}

SyncPoint::Hold::~Hold() {
  Registry &r = registry();
  std::lock_guard lock(r.mutex);
  std::erase(r.holds, this);
  r.any = !r.holds.empty();
  r.changed.notify_all();
}

void SyncPoint::Hold::wait() {
  Registry &r = registry();
  std::unique_lock lock(r.mutex);
  r.changed.wait(lock, [&] { return reached_; });
}

void SyncPoint::Hold::release() {
  Registry &r = registry();
  std::lock_guard lock(r.mutex);
  released_ = true;
  r.changed.notify_all();
}

bool SyncPoint::Hold::reached() const {
  std::lock_guard lock(registry().mutex);
  return reached_;
}

}  // namespace durability

#endif
