// SPDX-License-Identifier: BSD-3-Clause
#include <filesystem>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "filters/apply/state/state_writer.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

struct Setup {
  Directory directory;
  std::string folder =
      (std::filesystem::create_directory(directory.file("s")), directory.file("s"));
  std::string path = folder + "/state";
  DeltaMap map{extents::ExtentMap(100, extents::data)};
  Coverage coverage{map};
  Coverage::Scope scope = coverage.open();
  std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  std::vector<std::string> lines;
  StateWriter writer{
      path,
      {"c2", "vsphere", "vm", 1, 100, {}},
      map,
      coverage,
      util::Log([this](util::Level, const std::string &line) { lines.push_back(line); }),
      [this] { return now; }};

  void make_durable(Range range) {
    coverage.end(coverage.begin(range, Effect::delivers), scope, true);
    coverage.end_flush(coverage.begin_flush(scope), true);
  }
  void take_folder_away() { std::filesystem::rename(folder, folder + ".away"); }
  void bring_folder_back() { std::filesystem::rename(folder + ".away", folder); }
  Ranges saved() {
    auto state = replication::load_state(path);
    REQUIRE(state);
    CHECK(state->checkpoint == "c2");
    return state->owed;
  }
};

}  // namespace

TEST_CASE("begin() saves that the whole delta is owed, once") {
  Setup s;
  s.writer.save_if_due();
  CHECK_FALSE(std::filesystem::exists(s.path));
  s.writer.begin();
  CHECK(s.saved() == Ranges{{0, 100}});
  s.make_durable({0, 10});
  s.writer.begin();
  CHECK(s.saved() == Ranges{{0, 100}});
}

TEST_CASE("save_if_due() saves once a second at most, save() at once") {
  Setup s;
  s.writer.begin();
  s.make_durable({0, 10});
  s.writer.save_if_due();
  CHECK(s.saved() == Ranges{{0, 100}});
  s.now += std::chrono::milliseconds(1001);
  s.writer.save_if_due();
  CHECK(s.saved() == Ranges{{10, 90}});
  s.make_durable({10, 90});
  s.writer.save_if_due();
  CHECK(s.saved() == Ranges{{10, 90}});
  s.writer.save();
  CHECK(s.saved().empty());
}

TEST_CASE("claims() is true for what the file says is not owed") {
  Setup s;
  s.writer.begin();
  s.make_durable({0, 50});
  CHECK_FALSE(s.writer.claims({0, 100}));
  s.writer.save();
  CHECK(s.writer.claims({49, 10}));
  CHECK_FALSE(s.writer.claims({50, 50}));
  s.coverage.end(s.coverage.begin({0, 10}, Effect::clears), s.scope, true);
  CHECK(s.writer.claims({0, 10}));
  s.writer.save();
  CHECK_FALSE(s.writer.claims({0, 10}));
  CHECK(s.writer.claims({10, 1}));
  CHECK(s.saved() == Ranges{{0, 10}, {50, 50}});
}

TEST_CASE("what the old file claims is claimed until the new one is in its place") {
  Setup s;
  s.writer.begin();
  s.make_durable({0, 50});
  s.writer.save();
  s.coverage.end(s.coverage.begin({0, 10}, Effect::clears), s.scope, true);
  durability::SyncPoint::Hold written("replace_file.before_rename");
  std::jthread saving([&] { s.writer.save(); });
  written.wait();
  CHECK(s.writer.claims({0, 10}));
  CHECK(s.writer.claims({10, 40}));
  written.release();
  saving.join();
  CHECK_FALSE(s.writer.claims({0, 10}));
  CHECK(s.saved() == Ranges{{0, 10}, {50, 50}});
}

TEST_CASE("what is lost after it was confirmed is owed, although the file has not said so") {
  Setup s;
  StateWriter writer(
      s.path, {"c2", "vsphere", "vm", 1, 100, {}}, s.map, s.coverage, {}, [&] { return s.now; },
      [] {});
  writer.begin();
  s.make_durable({0, 50});
  s.take_folder_away();
  CHECK_THROWS_AS(writer.save(), util::Error);  // the source has confirmed it
  s.bring_folder_back();
  writer.lose({0, 10});
  s.coverage.end(s.coverage.begin({0, 10}, Effect::clears), s.scope, true);
  s.make_durable({0, 10});
  writer.save_lost();
  CHECK(s.saved() == Ranges{{0, 10}, {50, 50}});
  writer.save();
  CHECK(s.saved() == Ranges{{50, 50}});
}

TEST_CASE("begin() fails if the state cannot be saved; later failures leave the file unchanged") {
  Setup s;
  s.take_folder_away();
  CHECK_THROWS_AS(s.writer.begin(), util::Error);
  CHECK_THROWS_AS(s.writer.begin(), util::Error);
  s.bring_folder_back();
  s.writer.begin();
  s.make_durable({0, 10});
  s.take_folder_away();
  s.now += std::chrono::seconds(2);
  CHECK_NOTHROW(s.writer.save_if_due());
  REQUIRE(s.lines.size() == 1);
  CHECK_THAT(s.lines[0], Catch::Contains(s.path));
  s.bring_folder_back();
  CHECK(s.saved() == Ranges{{0, 100}});
  CHECK(s.writer.claims({0, 10}));  // the new file may be in place
}

TEST_CASE("after require_full_copy() the whole disk is owed, whatever arrives") {
  Setup s;
  s.writer.begin();
  s.make_durable({0, 50});
  s.writer.save();
  s.writer.require_full_copy();
  auto full_copy_owed = [&] {
    auto state = replication::load_state(s.path);
    return state && state->checkpoint.empty() && state->vm == "vm" &&
           state->owed == Ranges{{0, 100}};
  };
  CHECK(full_copy_owed());
  CHECK_FALSE(s.writer.claims({0, 100}));
  s.make_durable({50, 50});
  s.now += std::chrono::seconds(100);
  s.writer.save_if_due();
  s.writer.save();
  CHECK(full_copy_owed());

  Setup t;  // before begin(), and the first time it cannot be saved
  t.take_folder_away();
  CHECK_THROWS_AS(t.writer.require_full_copy(), util::Error);
  t.bring_folder_back();
  t.writer.save();
  CHECK(replication::load_state(t.path)->checkpoint.empty());
}
