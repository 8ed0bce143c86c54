// SPDX-License-Identifier: BSD-3-Clause
//
// Objects that are made when they are needed, and made anew when they have died.
#include <atomic>
#include <catch2/catch.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "plugins/vsphere/transport/renewable.hpp"

using namespace vsphere;

namespace {

struct Object {
  std::atomic<bool> is_dead = false;
  bool dead() const { return is_dead; }
};

}  // namespace

TEST_CASE("one of several threads makes the object, and all get the same") {
  Renewable<Object> renewable;
  std::atomic<int> made = 0;
  std::vector<std::shared_ptr<Object>> got(8);
  std::vector<std::thread> threads;
  for (auto &object : got) {
    threads.emplace_back([&] {
      object = renewable.get([&](const auto &) {
        ++made;
        return std::make_shared<Object>();
      });
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(made == 1);
  for (const auto &object : got) CHECK(object == got[0]);
}

TEST_CASE(
    "a dead object is handed over and replaced; after a failure the next caller tries again") {
  Renewable<Object> renewable;
  auto make = [](const auto &) { return std::make_shared<Object>(); };
  auto first = renewable.get(make);
  CHECK(renewable.get(make) == first);
  first->is_dead = true;
  CHECK_THROWS_AS(renewable.get([&](const auto &dead) -> std::shared_ptr<Object> {
    CHECK(dead == first);
    throw std::runtime_error("no");
  }),
                  std::runtime_error);
  auto second = renewable.get(make);
  CHECK(second != first);
}

TEST_CASE("only the current object is discarded") {
  Renewable<Object> renewable;
  auto make = [](const auto &) { return std::make_shared<Object>(); };
  auto first = renewable.get(make);
  int ended = 0;
  auto end = [&](const auto &) { ++ended; };
  renewable.discard(first, end);
  renewable.discard(first, end);
  CHECK(ended == 1);
  auto second = renewable.get(make);
  renewable.discard(first, end);
  CHECK(renewable.get(make) == second);
  CHECK(renewable.take() == second);
  CHECK(renewable.take() == nullptr);
}
