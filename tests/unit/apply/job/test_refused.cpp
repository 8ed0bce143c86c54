// SPDX-License-Identifier: BSD-3-Clause
#include <filesystem>

#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

TEST_CASE(
    "a small destination and the state of another disk are refused before anything is written") {
  JobSetup small(size - 1);
  small.start();
  CHECK_THROWS_WITH(small.join(), Catch::Contains("63 bytes") && Catch::Contains("64"));
  JobSetup large(size + 10);
  large.start();
  auto client = large.join();
  client->write(Content(size + 10), 0, false);
  CHECK(large.destination.now[size] == old_byte);

  JobSetup s;
  auto state = [&](const replication::State &old) {
    replication::save_state(s.path, old);
    s.job.reset();
    s.start();
  };
  CHECK_NOTHROW(state({"c1", "test", "v", 1, size, {{5, 1}, {60, 4}}}));
  CHECK_NOTHROW(state({"c2", "test", "v", 1, size, {}}));
  CHECK_NOTHROW(state({"c1", "", "", 0, size, {}}));
  CHECK_THROWS_WITH(state({"c1", "test", "w", 1, size, {}}), Catch::Contains("disk 1"));
  CHECK_THROWS_WITH(state({"c0", "test", "v", 1, size, {}}), Catch::Contains("since=@"));
  CHECK_THROWS_WITH(state({"c1", "test", "v", 1, size, {{4, 1}}}), Catch::Contains("delta-owed="));
  state({"c1", "test", "v", 1, size, {}});
  CHECK_THROWS_WITH(Job(std::make_unique<FakeSource>(s.disk), s.settings, util::Log()),
                    Catch::Contains("another server"));
}

TEST_CASE(
    "a source without a description leaves no checkpoint, but the disk of the state is kept") {
  JobSetup s;
  s.disk.description = "my disk";
  replication::save_state(s.path, {"c1", "test", "v", 1, size, {}});
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  auto state = replication::load_state(s.path);
  CHECK(state->checkpoint.empty());
  CHECK(state->vm == "v");
  CHECK(state->owed.empty());
}

TEST_CASE("a state with the name of another destination is refused") {
  JobSetup s;
  auto with = [&](const std::string &name) {
    s.job.reset();
    s.settings.destination = name;
    s.start();
    auto client = s.join();
    s.copy(*client, {0, size});
    client->finish();
    client.reset();
    return replication::load_state(s.path)->destination;
  };
  CHECK(with("").empty());
  CHECK(with("dr") == "dr");  // a state without a name is given one
  CHECK(with("dr") == "dr");
  CHECK_THROWS_WITH(with("cloud"), Catch::Contains("\"dr\"") &&
                                       Catch::Contains("apply-destination=cloud") &&
                                       Catch::Contains("remove it to start with a full copy"));
  CHECK_THROWS_WITH(with(""), Catch::Contains("\"dr\"") && Catch::Contains("was not given"));
}

TEST_CASE("a destination with larger blocks than the delta is refused") {
  JobSetup s;
  s.start();
  s.destination.block = 512;
  CHECK_THROWS_WITH(s.join(), Catch::Contains("nbdkit-blocksize-filter"));
  CHECK_FALSE(std::filesystem::exists(s.path));
}
