// SPDX-License-Identifier: BSD-3-Clause
#include <sys/stat.h>

#include "common/util/file.hpp"
#include "filters/apply/state/state_writer.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

struct Setup {
  Directory directory;
  std::string path = directory.file("state");
  Mask mask{extents::ExtentMap(100, extents::data)};
  Coverage coverage{mask};
  Coverage::Stream stream = coverage.open();
  std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  std::vector<std::string> lines;
  Keeper keeper{path,
                {"c2", "vsphere", "vm", 1, 100, {}},
                mask,
                coverage,
                util::Log([this](util::Level, const std::string &line) { lines.push_back(line); }),
                [this] { return now; }};

  void settle(Range range) {
    coverage.end(coverage.begin(range, true), stream, true);
    coverage.end_flush(coverage.begin_flush(stream), true);
  }
  Ranges saved() {
    auto state = replication::load_state(path);
    REQUIRE(state);
    CHECK(state->checkpoint == "c2");
    return state->owed;
  }
};

}  // namespace

TEST_CASE("before the first change the whole delta is owed, and that is said once") {
  Setup s;
  s.keeper.save_if_due();
  CHECK_FALSE(std::filesystem::exists(s.path));
  s.keeper.begin();
  CHECK(s.saved() == Ranges{{0, 100}});
  s.settle({0, 10});
  s.keeper.begin();
  CHECK(s.saved() == Ranges{{0, 100}});
}

TEST_CASE("the state is saved once a second at most, or when it must be") {
  Setup s;
  s.keeper.begin();
  s.settle({0, 10});
  s.keeper.save_if_due();
  CHECK(s.saved() == Ranges{{0, 100}});
  s.now += std::chrono::milliseconds(1001);
  s.keeper.save_if_due();
  CHECK(s.saved() == Ranges{{10, 90}});
  s.settle({10, 90});
  s.keeper.save_if_due();
  CHECK(s.saved() == Ranges{{10, 90}});
  s.keeper.save();
  CHECK(s.saved().empty());
}

TEST_CASE("it claims what the file says is not owed") {
  Setup s;
  s.keeper.begin();
  s.settle({0, 50});
  CHECK_FALSE(s.keeper.claims({0, 100}));
  s.keeper.save();
  CHECK(s.keeper.claims({49, 10}));
  CHECK_FALSE(s.keeper.claims({50, 50}));
  s.coverage.end(s.coverage.begin({0, 10}, false), s.stream, true);
  CHECK(s.keeper.claims({0, 10}));
  s.keeper.save();
  CHECK_FALSE(s.keeper.claims({0, 10}));
  CHECK(s.keeper.claims({10, 1}));
  CHECK(s.saved() == Ranges{{0, 10}, {50, 50}});
}

TEST_CASE("where the state cannot be saved nothing may begin; later it stays as it was") {
  Setup s;
  ::mkdir((s.path + ".tmp").c_str(), 0700);
  CHECK_THROWS_AS(s.keeper.begin(), util::Error);
  CHECK_THROWS_AS(s.keeper.begin(), util::Error);
  ::rmdir((s.path + ".tmp").c_str());
  s.keeper.begin();
  s.settle({0, 10});
  ::mkdir((s.path + ".tmp").c_str(), 0700);
  s.now += std::chrono::seconds(2);
  CHECK_NOTHROW(s.keeper.save_if_due());
  REQUIRE(s.lines.size() == 1);
  CHECK_THAT(s.lines[0], Catch::Contains(s.path));
  CHECK(s.saved() == Ranges{{0, 100}});
  CHECK(s.keeper.claims({0, 10}));  // it may have been replaced, for all we know
}

TEST_CASE("a destination that is not what was thought owes everything, whatever arrives") {
  Setup s;
  s.keeper.begin();
  s.settle({0, 50});
  s.keeper.save();
  s.keeper.condemn();
  auto condemned = [&] {
    auto state = replication::load_state(s.path);
    return state && state->checkpoint.empty() && state->vm == "vm" &&
           state->owed == Ranges{{0, 100}};
  };
  CHECK(condemned());
  CHECK_FALSE(s.keeper.claims({0, 100}));
  s.settle({50, 50});
  s.now += std::chrono::seconds(100);
  s.keeper.save_if_due();
  s.keeper.save();
  CHECK(condemned());

  Setup t;  // before anything was written; the first time it cannot be saved
  ::mkdir((t.path + ".tmp").c_str(), 0700);
  CHECK_THROWS_AS(t.keeper.condemn(), util::Error);
  ::rmdir((t.path + ".tmp").c_str());
  t.keeper.save();
  CHECK(replication::load_state(t.path)->checkpoint.empty());
}

TEST_CASE("one server at a time holds the lock") {
  Directory directory;
  std::string path = directory.file("state");
  {
    util::Fd first = lock_state(path);
    CHECK_THROWS_WITH(lock_state(path), Catch::Contains("another server") && Catch::Contains(path));
  }
  CHECK_NOTHROW(lock_state(path));
  CHECK_THROWS_WITH(lock_state("/nonexistent/state"), Catch::Contains("/nonexistent"));
}
