// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/abort_cleanup.hpp"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "plugins/vsphere/snapshot/blocked_signals.hpp"

namespace vsphere {

namespace {

// For the signal handler, which has no other argument. Set before it is installed.
std::atomic<int> aborting_fd = -1, done_fd = -1, deadline_ms = 0;
struct sigaction former;

void notify(int fd) {
  uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

// Several threads may abort at the same time: done_fd stays readable, so all of them see the end.
extern "C" void on_abort(int) {
  notify(aborting_fd);
  util::readable_by(done_fd,
                    std::chrono::steady_clock::now() + std::chrono::milliseconds(deadline_ms));
  ::sigaction(SIGABRT, &former, nullptr);
  ::raise(SIGABRT);  // delivered when this handler returns
}

util::Fd make_eventfd() {
  util::Fd fd(::eventfd(0, EFD_CLOEXEC));
  if (!fd) util::fail_os(errno, "cannot create an eventfd");
  return fd;
}

}  // namespace

AbortCleanup::AbortCleanup(std::function<void()> cleanup, std::chrono::milliseconds deadline)
    : aborting_(make_eventfd()), done_(make_eventfd()) {
  {
    const BlockedSignals blocked;  // a signal of another process may run its handler on any thread
    thread_ = std::thread([this, cleanup = std::move(cleanup)] { wait_for_abort(cleanup); });
  }
  aborting_fd = aborting_.get();
  done_fd = done_.get();
  deadline_ms = static_cast<int>(deadline.count());
  struct sigaction wait = {};
  wait.sa_handler = on_abort;
  ::sigaction(SIGABRT, &wait, &former);
}

AbortCleanup::~AbortCleanup() {
  ::sigaction(SIGABRT, &former, nullptr);
  stopping_ = true;
  notify(aborting_.get());
  thread_.join();
}

void AbortCleanup::wait_for_abort(const std::function<void()> &cleanup) {
  uint64_t count = 0;
  while (::read(aborting_.get(), &count, sizeof count) < 0 && errno == EINTR) continue;
  if (stopping_) return;
  cleanup();
  notify(done_.get());
}

}  // namespace vsphere
