// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/abort_cleanup.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

// What the handler needs; it can reach nothing else. Set before it is installed.
std::atomic<int> called_fd = -1, done_fd = -1, deadline_ms = 0;
struct sigaction before;

void ring(int fd) {
  uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

// Several threads may abort at once: all of them wait, for done_fd stays readable.
extern "C" void on_abort(int) {
  ring(called_fd);
  pollfd done = {done_fd, POLLIN, 0};
  while (::poll(&done, 1, deadline_ms) < 0 && errno == EINTR) continue;
  ::sigaction(SIGABRT, &before, nullptr);
  ::raise(SIGABRT);  // is blocked until this handler returns
}

util::Fd make_eventfd() {
  util::Fd fd(::eventfd(0, EFD_CLOEXEC));
  if (!fd) util::fail_os(errno, "cannot make an eventfd");
  return fd;
}

}  // namespace

AbortWatch::AbortWatch(std::function<void()> act, std::chrono::milliseconds deadline)
    : called_(make_eventfd()), done_(make_eventfd()) {
  thread_ = std::thread([this, act = std::move(act)] { watch(act); });
  called_fd = called_.get();
  done_fd = done_.get();
  deadline_ms = static_cast<int>(deadline.count());
  struct sigaction wait = {};
  wait.sa_handler = on_abort;
  ::sigaction(SIGABRT, &wait, &before);
}

AbortWatch::~AbortWatch() {
  ::sigaction(SIGABRT, &before, nullptr);
  stopping_ = true;
  ring(called_.get());
  thread_.join();
}

void AbortWatch::watch(const std::function<void()> &act) {
  uint64_t times = 0;
  while (::read(called_.get(), &times, sizeof times) < 0 && errno == EINTR) continue;
  if (stopping_) return;
  act();
  ring(done_.get());
}

}  // namespace vsphere
