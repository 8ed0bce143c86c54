// SPDX-License-Identifier: BSD-3-Clause
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"
#include "tests/unit/vsphere/transport/vddk/standin.hpp"

using namespace vsphere::vddk;
using namespace std::chrono_literals;

namespace {

std::atomic<int> handled = 0;
extern "C" void count_signal(int) {
  ++handled;
}

}  // namespace

TEST_CASE("a signal to the thread that waits for a process does not have it killed") {
  struct sigaction count = {}, former = {};
  count.sa_handler = count_signal;
  REQUIRE(::sigaction(SIGUSR1, &count, &former) == 0);
  StandinDirectory standin;
  auto [ours, theirs] = Channel::make_pair();
  Process process(standin.script("read line <&3; exit 7"), standin.path, theirs);
  std::string how;
  std::atomic<bool> returned = false;
  std::thread waiter([&] {
    how = process.wait(60s);
    returned = true;
  });
  // More than one, as the first may come before the wait. ThreadSanitizer keeps one that comes just before a system call
  // until that returns: the next one ends it.
  for (int i = 1; i <= 20 && !returned; ++i) {
    for (int sent = 0; handled < i && !returned; ++sent) {
      if (sent % 20 == 0) ::pthread_kill(waiter.native_handle(), SIGUSR1);
      std::this_thread::sleep_for(1ms);
    }
  }
  CHECK(!returned);
  ours = vsphere::vddk::Channel::make_pair().first;  // closes it: the script ends
  theirs = {};
  waiter.join();
  ::sigaction(SIGUSR1, &former, nullptr);
  CHECK(how == "ended with status 7");
}
