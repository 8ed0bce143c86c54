// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <optional>

#include "plugins/qcow2/file/write_gate.hpp"

using namespace qcow2;

TEST_CASE("the gate admits one thread, and one that has waited too long goes ahead unadmitted") {
  WriteGate gate;
  std::optional<WriteGate::Pass> first(gate);
  CHECK(first->is_admitted());
  {
    WriteGate::Pass second(gate);  // does not wait for ever
    CHECK(!second.is_admitted());
  }
  // An unadmitted thread does not open the gate.
  CHECK(!WriteGate::Pass(gate).is_admitted());
  first.reset();
  CHECK(WriteGate::Pass(gate).is_admitted());
  CHECK(WriteGate::Pass(gate).is_admitted());
}
