// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <random>
#include <thread>

#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

// Clients send random requests, and the layer below fails at random. After every step the state
// file is compared with what a crash would leave at the destination.
TEST_CASE("the state owes at least what is missing, after each step of one thread", "[single]") {
  std::mt19937 random(GENERATE(1u, 2u, 3u, 4u, 5u, 6u));
  auto below = [&](uint64_t n) {
    return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
  };
  JobSetup s;
  s.start();
  bool covers_all = below(2) == 0;
  int steps = 0, false_states = 0;
  s.destination.check = [&] {
    ++steps;
    ++s.ticks;
    false_states += s.state_is_true() ? 0 : 1;
  };
  std::vector<std::unique_ptr<JobClient>> clients;
  for (int i = 0; i < 150; ++i) {
    if (clients.empty() || below(12) == 0) clients.push_back(s.join(covers_all));
    auto &client = clients[below(clients.size())];
    Range range{below(size), 0};
    range.length = 1 + below(size - range.offset);
    s.destination.fail_in = below(8) == 0 ? 0 : -1;
    s.destination.fail_flush = below(10) == 0;
    try {
      switch (below(6)) {
        case 0:
        case 1:
          s.copy(*client, range);
          break;
        case 2:
          client->zero(range, {});
          break;
        case 3:
        case 4:
          // The flush of this destination makes everything durable, also if covers_all is false.
          client->flush();
          break;
        case 5: {
          auto leaving = std::move(client);
          leaving->finish();
          break;
        }
      }
    } catch (const Broken &) {
    } catch (const util::Error &) {
    }
    std::erase(clients, nullptr);
    s.destination.check();
  }
  CHECK(steps > 150);
  CHECK(false_states == 0);
  // Whatever happened before, one complete copy leaves nothing owed.
  clients.clear();
  s.destination.fail_in = -1;
  s.destination.fail_flush = false;
  auto last = s.join();
  s.copy(*last, {0, size});
  last->finish();
  CHECK(s.complete());
  CHECK(s.destination.durable == s.disk.bytes);
}

TEST_CASE("the state owes at least what is missing, at any time, with many threads") {
  JobSetup s;
  s.start();
  std::atomic<int> false_states = 0;
  s.destination.check = [&] {
    ++s.ticks;
    false_states += s.state_is_true() ? 0 : 1;
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&s, t] {
      std::mt19937 random(t);
      for (int round = 0; round < 4; ++round) {
        auto client = s.join();
        try {
          for (int i = 0; i < 15; ++i) {
            Range range{random() % size, 0};
            range.length = 1 + random() % (size - range.offset);
            auto what = random() % 5;
            if (what < 2) s.copy(*client, range);
            if (what == 2) client->zero(range, {});
            if (what > 2) client->flush();
          }
          client->finish();
        } catch (const util::Error &) {  // it left early
        }
      }
    });
  }
  threads.clear();
  CHECK(false_states == 0);
  auto last = s.join();
  s.copy(*last, {0, size});
  last->finish();
  CHECK(s.complete());
  CHECK(s.destination.durable == s.disk.bytes);
}
