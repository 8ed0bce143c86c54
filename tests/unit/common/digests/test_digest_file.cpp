// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>

#include "common/digests/digest_file.hpp"
#include "common/util/error.hpp"

using namespace digests;

TEST_CASE("a header is the same after it is written and read") {
  DigestHeader header{123456789, "a \"checkpoint\"", random_key(), true};
  const std::string text = format(header);
  CHECK(text.size() == header_bytes);
  auto again = parse_digest_header(text, "f", "");
  CHECK(again.size == header.size);
  CHECK(again.checkpoint == header.checkpoint);
  CHECK(again.key == header.key);
  CHECK(again.complete);
  header.checkpoint = std::string(header_bytes, 'x');
  CHECK_THROWS_AS(format(header), util::Error);
}
