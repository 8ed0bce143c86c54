// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "common/util/error.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;

namespace {

std::string image(const std::string &uuid, std::vector<std::string> below = {}) {
  return replication::format(replication::ImageIdentity{uuid, std::move(below)});
}

}  // namespace

TEST_CASE("the state names the image, and another one is refused before anything is changed") {
  JobSetup s;
  s.destination.image = image("monday");
  s.start();
  auto client = s.join();
  s.copy(*client, {5, 5});
  client->flush();
  CHECK_THROWS(client->finish());  // it left early
  CHECK(replication::load_state(s.path)->image == "monday");
  client.reset();
  s.job.reset();

  s.destination.image = image("sunday");
  Content before = s.destination.now;
  s.start();
  CHECK_THROWS_WITH(s.join(), Catch::Contains("image sunday"));
  CHECK(s.destination.now == before);
  CHECK(replication::load_state(s.path)->image == "monday");
  s.job.reset();

  s.destination.image = image("tuesday", {"monday"});
  s.start();
  client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  CHECK(s.complete());
  CHECK(replication::load_state(s.path)->image == "tuesday");
}
