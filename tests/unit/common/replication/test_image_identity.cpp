// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/replication/image_identity.hpp"
#include "common/replication/source_description.hpp"
#include "common/replication/state_json.hpp"

using replication::ImageIdentity;
using replication::parse_image_identity;

TEST_CASE("the identity of an image is the same when it is read back") {
  ImageIdentity identity{"11111111-2222-3333-4444-555555555555", {"a", "b"}};
  auto read = parse_image_identity(format(identity));
  REQUIRE(read);
  CHECK(read->uuid == identity.uuid);
  CHECK(read->below == identity.below);
}

TEST_CASE("a checkpoint is compared as a whole, but where it was cut") {
  ImageIdentity identity{"top", {}};
  identity.complete = true;
  identity.checkpoint = "52/1";
  auto read = parse_image_identity(format(identity));
  REQUIRE(read);
  CHECK(read->is_of("52/1"));
  CHECK_FALSE(read->is_of("52/10"));
  CHECK_FALSE(read->is_of("52"));
  identity.checkpoint = "caf\xc3";  // cut within the last letter
  identity.cut = true;
  read = parse_image_identity(format(identity));
  REQUIRE(read);
  CHECK(read->is_of("caf\xc3\xa9/1"));
  CHECK_FALSE(read->is_of("ca"));
}

TEST_CASE("an image is itself and lies over its backing chain") {
  ImageIdentity identity{"top", {"middle", "base"}};
  CHECK(identity.is_or_lies_over("top"));
  CHECK(identity.is_or_lies_over("base"));
  CHECK(!identity.is_or_lies_over("other"));
  CHECK(!identity.is_or_lies_over(""));
}

TEST_CASE("a description that is no image's identity is free text") {
  CHECK(!parse_image_identity(""));
  CHECK(!parse_image_identity("a disk"));
  CHECK(!parse_image_identity("[1]"));
  CHECK(!parse_image_identity(R"({"nbdkit-replicate-image": 2, "image": "a"})"));
  CHECK(!parse_image_identity(R"({"nbdkit-replicate-image": 1})"));
  CHECK(!parse_image_identity(format(replication::SourceDescription{})));
}

TEST_CASE("a state keeps the image that it is of") {
  replication::State state;
  state.size = 10;
  state.image = "11111111-2222-3333-4444-555555555555";
  CHECK(replication::parse_state(format(state), "x").image == state.image);
}
