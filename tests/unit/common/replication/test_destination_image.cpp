// SPDX-License-Identifier: BSD-3-Clause
#include "common/replication/destination_image.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"

using replication::DestinationImage;

namespace {

std::string image(const std::string &uuid, std::vector<std::string> below = {}) {
  return replication::format(replication::ImageIdentity{uuid, std::move(below)});
}

}  // namespace

TEST_CASE("a state that names an image accepts that one and what lies over it") {
  DestinationImage named({"apply", "web1.state", "monday", false, false}, {});
  CHECK(named.accept(image("monday")) == "monday");
  CHECK(named.accept(image("tuesday", {"monday", "sunday"})) == "tuesday");
  CHECK_THROWS_WITH(named.accept(image("sunday")), Catch::Contains("is of the image monday") &&
                                                       Catch::Contains("image sunday") &&
                                                       Catch::Contains("nothing was changed") &&
                                                       Catch::Contains("apply-image=any"));
  CHECK_THROWS_WITH(named.accept("free text"), Catch::Contains("does not say which image it is"));
}

TEST_CASE(
    "any image is accepted by a state without one, for a full copy, and if the user says so") {
  std::vector<std::string> lines;
  util::Log log([&](util::Level, const std::string &line) { lines.push_back(line); });
  DestinationImage first({"apply", "web1.state", "", false, false}, log);
  CHECK(first.accept(image("monday")) == "monday");
  CHECK(first.accept("").empty());
  DestinationImage full({"apply", "web1.state", "monday", false, true}, log);
  CHECK(full.accept(image("new")) == "new");
  CHECK(lines.empty());
  DestinationImage any({"apply", "web1.state", "monday", true, false}, log);
  CHECK(any.accept(image("new")) == "new");
  CHECK(any.accept("").empty());
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Catch::Contains("apply-image=any"));
}

TEST_CASE("an image that is complete as of another checkpoint than the state's contradicts it") {
  auto complete = [](const std::string &uuid, const std::string &checkpoint, bool cut = false) {
    replication::ImageIdentity identity{uuid, {}};
    identity.complete = true;
    identity.checkpoint = checkpoint;
    identity.cut = cut;
    return replication::format(identity);
  };
  DestinationImage named({"apply", "web1.state", "monday", false, false, {"52/1", "52/2"}}, {});
  CHECK_THAT(named.contradiction(complete("monday", "52/0")),
             Catch::Contains("\"52/0\"") && Catch::Contains("web1.state"));
  CHECK(named.contradiction(complete("monday", "52/1")).empty());
  CHECK(named.contradiction(complete("monday", "52/2")).empty());
  CHECK(named.contradiction(complete("monday", "52", /*cut=*/true)).empty());
  CHECK_FALSE(named.contradiction(complete("monday", "53", /*cut=*/true)).empty());
  CHECK(named.contradiction(image("monday")).empty());  // nobody has said
  CHECK(named.contradiction(complete("tuesday", "52/0")).empty());
  CHECK(named.contradiction("free text").empty());
  DestinationImage tenth({"apply", "web1.state", "monday", false, false, {"52/10", "52/11"}}, {});
  CHECK_THAT(tenth.contradiction(complete("monday", "52/1")), Catch::Contains("\"52/1\""));
  DestinationImage nothing({"apply", "web1.state", "monday", false, false, {"", ""}}, {});
  CHECK(nothing.contradiction(complete("monday", "52/0")).empty());
  DestinationImage full({"apply", "web1.state", "monday", false, true, {"52/1", "52/2"}}, {});
  CHECK(full.contradiction(complete("monday", "52/0")).empty());
  DestinationImage any({"apply", "web1.state", "monday", true, false, {"52/1", "52/2"}}, {});
  CHECK(any.contradiction(complete("monday", "52/0")).empty());
}

TEST_CASE("an image that gets its final name with any flush is refused") {
  DestinationImage named({"apply", "web1.state", "", false, true, {}}, {});
  replication::ImageIdentity identity{"monday", {}};
  identity.sealed_by_flush = true;
  CHECK_THROWS_WITH(named.accept(replication::format(identity)),
                    Catch::Contains("seal=@web1.state"));
}
