// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "common/digests/digest_file.hpp"
#include "common/util/error.hpp"

using namespace digests;

TEST_CASE("a header is the same after it is written and read") {
  DigestHeader header{123456789, "a \"checkpoint\"", random_key(), true, "a-uuid"};
  const std::string text = format(header);
  CHECK(text.size() == header_bytes);
  auto again = parse_digest_header(text, "f", "");
  CHECK(again.size == header.size);
  CHECK(again.checkpoint == header.checkpoint);
  CHECK(again.key == header.key);
  CHECK(again.complete);
  CHECK(again.image == "a-uuid");
  header.checkpoint = std::string(header_bytes, 'x');
  CHECK_THROWS_AS(format(header), util::Error);
}

TEST_CASE("a header without the fields that came later is read") {
  const DigestHeader header{65536, "c", random_key(), true};
  auto fields = nlohmann::json::parse(format(header));
  fields.erase("image");
  fields.erase("zeroes");
  const auto again = parse_digest_header(fields.dump(), "f", "");
  CHECK(again.key == header.key);
  CHECK(again.image.empty());
}

TEST_CASE("a header with a damaged key is refused") {
  DigestHeader header{65536, "c", random_key(), true};
  auto fields = nlohmann::json::parse(format(header));
  header.key = random_key();
  fields["key"] = nlohmann::json::parse(format(header))["key"];
  CHECK_THROWS_WITH(parse_digest_header(fields.dump(), "f", "do this"),
                    Catch::Contains("damaged: do this"));
}
