// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/util/percent.hpp"

TEST_CASE("percent-encoding keeps letters, digits and the characters given") {
  CHECK(util::percent_encode("aZ09-._~") == "aZ09-._~");
  CHECK(util::percent_encode("a/b c%\xc3\xa4") == "a%2Fb%20c%25%C3%A4");
  CHECK(util::percent_encode("/a~", "/") == "/a%7E");
  CHECK(util::percent_encode("").empty());
}

TEST_CASE("percent-decoding") {
  CHECK(util::percent_decode("a%2Fb%20%c3%A4") == "a/b \xc3\xa4");
  CHECK(util::percent_decode("%2%zz%") == "%2%zz%");
  CHECK(util::percent_decode("%4%41% 1%+1%-1") == "%4A% 1%+1%-1");
}
