// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <random>
#include <thread>

#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"
#include "tests/unit/rounds.hpp"

using namespace fanout;

// Several clients write at random, servers die and come back, and answer with errors.
TEST_CASE("random failures: all destinations are equal in the end") {
  for (unsigned seed = 0; seed < testing::rounds(6); ++seed) {
    Rig rig(3, 2 * M, 100, [](DestinationSettings &s, size_t i) {
      s.policy.detach = true;
      s.policy.retries = 100;
      s.policy.async = i == 2;
      s.concurrency = 4;
    });
    rig.open();
    std::atomic<int> writing = 3;
    std::vector<std::jthread> clients;
    for (unsigned c = 0; c < 3; ++c) {
      clients.emplace_back([&, c] {
        std::mt19937 random(seed * 10 + c);
        for (int i = 0; i < 100; ++i) {
          uint64_t count = 1 + random() % (i % 10 == 0 ? M : 5000);
          uint64_t offset = random() % (rig.size - count);
          if (i % 3 == 0) {  // whole blocks
            offset = offset / DirtyMap::block * DirtyMap::block;
            count = std::min(rig.size - offset, (2 + random() % 6) * DirtyMap::block);
          }
          rig.write(offset, count, byte(random() % 4));
          if (i % 20 == 19) rig.broadcaster->flush([] {});
        }
        --writing;
      });
    }
    std::mt19937 random(seed);
    while (writing > 0) {
      auto &server = *rig.servers[random() % 3];
      switch (random() % 3) {
        case 0:
          server.kill();
          break;
        case 1:
          server.refuses = !server.refuses;
          break;
        case 2:
          server.target.errnum = random() % 4 == 0 ? EIO : 0;
          break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 5));
    }
    clients.clear();
    for (const auto &server : rig.servers) {
      server->refuses = false;
      server->target.errnum = 0;
    }
    rig.drain();
    for (size_t i = 0; i < 3; ++i) {
      CHECK(rig.equal(i));
      CHECK(rig.counters[i]->verify_mismatches == 0);  // all was owed, and not found at the end
    }
  }
}
