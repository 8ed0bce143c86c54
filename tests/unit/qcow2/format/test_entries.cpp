// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "plugins/qcow2/format/entries.hpp"

using namespace qcow2;

TEST_CASE("an L2 entry says where a cluster is, or that it is zero") {
  CHECK(is_unallocated(unallocated));
  CHECK_FALSE(is_data(zero_plain));
  CHECK(reads_zero(zero_plain));
  Entry data = data_entry(0x50000);
  CHECK(data == 0x8000'0000'0005'0000);
  CHECK(is_data(data));
  CHECK(host_offset(data) == 0x50000);
  CHECK_FALSE(is_data(data | zero_plain));  // preallocated: reads zero
  CHECK_FALSE(is_unallocated(data | zero_plain));
  CHECK((data & l2_reserved) == 0);
}
