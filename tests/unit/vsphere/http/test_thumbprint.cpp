// SPDX-License-Identifier: BSD-3-Clause
//
// Which thumbprints are accepted.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/http/thumbprint.hpp"

using namespace vsphere;

TEST_CASE("thumbprints are SHA-1 or SHA-256 in hexadecimal") {
  CHECK(parse_thumbprint("02:46:24:BF:58:6B:A7:E1:BD:B6:4D:71:B1:F7:7F:74:97:D6:A5:4A") ==
        "024624bf586ba7e1bdb64d71b1f77f7497d6a54a");
  CHECK(parse_thumbprint(std::string(64, 'A')) == std::string(64, 'a'));
  for (const std::string bad : {"", "AA:BB", "zz"})
    CHECK_THROWS_AS(parse_thumbprint(bad), util::Error);
  CHECK_THROWS_WITH(parse_thumbprint(std::string(40, 'g')), Catch::Contains("thumbprint="));
}
