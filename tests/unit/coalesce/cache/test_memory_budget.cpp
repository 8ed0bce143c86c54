// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "filters/coalesce/cache/buffer.hpp"
#include "filters/coalesce/cache/memory_budget.hpp"

using namespace coalesce;

TEST_CASE("the budget limits buffers, and a destroyed buffer gives its memory back") {
  MemoryBudget budget(10000);
  Buffer a = Buffer::allocate(budget, 6000);
  CHECK(a);
  CHECK_FALSE(Buffer::allocate(budget, 4001));
  {
    Buffer b = Buffer::allocate(budget, 4000);
    CHECK(b);
    CHECK(budget.used() == 10000);
  }
  CHECK(budget.used() == 6000);
  a = Buffer();
  CHECK(budget.used() == 0);
}

TEST_CASE("memory is reused, and spare memory counts toward the limit") {
  MemoryBudget budget(10000);
  Buffer a = Buffer::allocate(budget, 4000);
  std::byte *const where = a.bytes().data();
  a = Buffer();
  CHECK(budget.used() == 0);
  CHECK(budget.spare() == 4000);
  SECTION("by one that is a little smaller") {
    a = Buffer::allocate(budget, 3500);
    CHECK(a.bytes().data() == where);
    CHECK(a.bytes().size() == 3500);
    CHECK(budget.used() == 4000);
    CHECK(budget.spare() == 0);
  }
  SECTION("not by one that is much smaller, or larger") {
    Buffer b = Buffer::allocate(budget, 1000), c = Buffer::allocate(budget, 4001);
    CHECK(budget.used() == 5001);
    CHECK(budget.spare() == 4000);
    // There is room for this one only without the spare memory.
    Buffer d = Buffer::allocate(budget, 4999);
    CHECK(d);
    CHECK(budget.spare() == 0);
  }
  SECTION("spare memory goes back to the system when it is dropped") {
    budget.drop_spares();
    CHECK(budget.spare() == 0);
    CHECK(Buffer::allocate(budget, 10000));
  }
}
