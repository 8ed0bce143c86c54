// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include <memory>

#include "filters/coalesce/shared_engines.hpp"

using namespace coalesce;

TEST_CASE("connections that see the same disk share an engine, and the memory") {
  SharedEngines engines(8u << 20);
  int made = 0;
  auto make = [&](uint64_t size) {
    return [&made, size](MemoryBudget &budget, Counters &counters) {
      ++made;
      return std::make_shared<Engine>(Settings{.size = size}, budget, counters, util::Log());
    };
  };
  auto a = engines.join("x", 100, true, make(100));
  auto b = engines.join("x", 100, true, make(100));
  CHECK(a == b);
  CHECK(engines.join("x", 100, false, make(100)) != a);
  CHECK(engines.join("y", 100, true, make(100)) != a);
  CHECK(engines.join("x", 200, true, make(200)) != a);
  CHECK(made == 4);
  engines.leave(a);
  CHECK(engines.join("x", 100, true, make(100)) == b);
  engines.leave(b);
  a = engines.join("x", 100, true, make(100));
  CHECK(made == 5);
}
