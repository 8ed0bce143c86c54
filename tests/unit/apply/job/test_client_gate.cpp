// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "filters/apply/job/client_gate.hpp"

using apply::ClientGate;

TEST_CASE("only the last client closes the gate, and new ones wait until it is open again") {
  ClientGate gate;
  gate.enter();
  gate.enter();
  CHECK(gate.clients() == 2);
  CHECK_FALSE(gate.leave_and_close());
  CHECK_FALSE(gate.waiting());
  CHECK(gate.leave_and_close());
  CHECK(gate.clients() == 0);

  std::atomic<bool> entered = false;
  std::jthread client([&] {
    gate.enter();
    entered = true;
  });
  while (!gate.waiting()) std::this_thread::yield();
  CHECK_FALSE(entered);
  gate.reopen();
  client.join();
  CHECK(entered);
  CHECK_FALSE(gate.waiting());
  CHECK(gate.clients() == 1);
  gate.leave();
  CHECK(gate.clients() == 0);
}
