// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <optional>

#include "plugins/qcow2/file/write_gate.hpp"

using namespace qcow2;

TEST_CASE("a turn is one thread's, and who waits too long goes ahead without") {
  Turns turns;
  std::optional<Turns::Turn> first(turns);
  CHECK(first->has_it());
  {
    Turns::Turn second(turns);  // does not wait for ever
    CHECK(!second.has_it());
  }
  // Who had none has given none back.
  CHECK(!Turns::Turn(turns).has_it());
  first.reset();
  CHECK(Turns::Turn(turns).has_it());
  CHECK(Turns::Turn(turns).has_it());
}
