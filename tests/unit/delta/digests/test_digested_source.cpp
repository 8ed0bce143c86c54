// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/util/error.hpp"
#include "filters/delta/digests/digested_source.hpp"
#include "tests/unit/delta/memory_disk.hpp"
#include "tests/unit/directory.hpp"

using namespace delta;
using extents::Extent;

namespace {

constexpr uint64_t KiB64 = 65536, size = 4 * KiB64;

// Runs of nbdkit, one after the other, with the files of one directory.
class Runs {
 public:
  // What a run shows, and the map of the whole disk.
  struct Shown {
    replication::SourceDescription source;
    std::vector<Extent> map;
  };

  // scan: whether a client asks for the map.
  Shown run(const std::string &held, bool scan = true, const std::string &lower = "") {
    DigestedSource source({path(), "web1", fail_on_reset, 0},
                          util::Log([this](util::Level level, const std::string &text) {
                            if (level == util::Level::warning) warnings.push_back(text);
                          }));
    replication::State state;
    state.checkpoint = held;
    Shown shown{source.describe(lower, disk.bytes.size(), &state), {}};
    if (scan) {
      source.honest(disk, {0, disk.bytes.size()}, Scan::Clock::time_point::max(),
                    [&](const Extent &e) { shown.map.push_back(e); });
    }
    return shown;
  }
  std::string path() const { return directory_.path() + "/web1.digests"; }

  MemoryDisk disk{size};
  bool fail_on_reset = false;
  std::vector<std::string> warnings;

 private:
  testing::Directory directory_;
};

const std::vector<Extent> nothing_changed{{0, size, extents::hole}};
const std::vector<Extent> all_changed{{0, size, extents::data}};

}  // namespace

TEST_CASE("the next run shows what has changed since the checkpoint of the state") {
  Runs runs;
  auto first = runs.run("");
  CHECK(first.source.mode == "full");
  CHECK(first.source.vm == "web1");
  CHECK(first.map == all_changed);

  runs.disk.bytes[KiB64] = std::byte{9};
  auto second = runs.run(first.source.checkpoint);
  CHECK(second.source.mode == "delta");
  CHECK(second.source.since == first.source.checkpoint);
  CHECK(second.source.checkpoint != first.source.checkpoint);
  CHECK(second.map == std::vector<Extent>{{0, KiB64, extents::hole},
                                          {KiB64, KiB64, extents::data},
                                          {2 * KiB64, 2 * KiB64, extents::hole}});
  CHECK(runs.warnings.empty());
}

TEST_CASE("a run of which the destination knows nothing does not count") {
  Runs runs;
  auto first = runs.run("");
  runs.disk.bytes[0] = std::byte{9};
  auto lost = runs.run(first.source.checkpoint);  // killed before the state was written
  CHECK(lost.map != nothing_changed);
  auto again = runs.run(first.source.checkpoint);
  CHECK(again.source.since == first.source.checkpoint);
  CHECK(again.map == lost.map);
  // The state was written by that run.
  CHECK(runs.run(again.source.checkpoint).map == nothing_changed);
}

TEST_CASE("digests that are not complete are not used") {
  Runs runs;
  auto first = runs.run("");
  auto cut_off = runs.run(first.source.checkpoint, false);
  auto other = runs.run(cut_off.source.checkpoint);
  CHECK(other.source.mode == "full");
  CHECK(other.map == all_changed);
  REQUIRE(runs.warnings.size() == 1);
  CHECK_THAT(runs.warnings[0], Catch::Contains(first.source.checkpoint) &&
                                   Catch::Contains(cut_off.source.checkpoint));
}

TEST_CASE("without digests of the destination's checkpoint: the whole disk, or an error") {
  Runs runs;
  auto full = runs.run("elsewhere");
  CHECK(full.source.mode == "full");
  CHECK(full.map == all_changed);
  REQUIRE(runs.warnings.size() == 1);
  CHECK_THAT(runs.warnings[0], Catch::Contains("no digests of an earlier run"));
  runs.fail_on_reset = true;
  CHECK_THROWS_WITH(runs.run("elsewhere"), Catch::Contains("remove the state"));
  CHECK(runs.run("").source.mode == "full");
}

TEST_CASE(
    "a source with checkpoints keeps them; where it lost its tracking, digests tell what has "
    "changed") {
  Runs runs;
  replication::SourceDescription lower{"vsphere", "vm-1", 2000, size, "full", "", "52/1", true};
  auto first = runs.run("", true, replication::format(lower));
  CHECK(replication::format(first.source) == replication::format(lower));

  // Tracked: what the layer below says has changed.
  lower.mode = "delta";
  lower.since = "52/1";
  lower.checkpoint = "52/2";
  runs.disk.map.set({0, size}, extents::hole);
  runs.disk.map.set({0, 512}, extents::data);
  runs.disk.bytes[0] = std::byte{9};
  auto second = runs.run("52/1", true, replication::format(lower));
  CHECK(replication::format(second.source) == replication::format(lower));
  CHECK(second.map ==
        std::vector<Extent>{{0, KiB64, extents::data}, {KiB64, 3 * KiB64, extents::hole}});

  // Reset.
  lower.mode = "full";
  lower.since = "";
  lower.checkpoint = "77/1";
  runs.disk.map.set({0, size}, extents::data);
  runs.disk.bytes[size - 1] = std::byte{9};
  auto third = runs.run("52/2", true, replication::format(lower));
  CHECK(third.source.mode == "delta");
  CHECK(third.source.since == "52/2");
  CHECK(third.source.checkpoint == "77/1");
  CHECK(third.source.vm == "vm-1");
  CHECK(third.map ==
        std::vector<Extent>{{0, 3 * KiB64, extents::hole}, {3 * KiB64, KiB64, extents::data}});
  CHECK(runs.warnings.empty());
}

TEST_CASE("files that cannot be used are refused, and say what to do") {
  Runs runs;
  auto first = runs.run("");
  auto second = runs.run(first.source.checkpoint);
  const std::string held = second.source.checkpoint;
  CHECK(runs.run(held).map == nothing_changed);
  SECTION("cut short") {
    std::filesystem::resize_file(runs.path(), digests::header_bytes + 16);
    CHECK_THROWS_WITH(runs.run(held),
                      Catch::Contains("web1.digests") && Catch::Contains("remove it"));
  }
  SECTION("something else") {
    std::ofstream(runs.path()) << "no digests";
    CHECK_THROWS_WITH(runs.run(held),
                      Catch::Contains("web1.digests") && Catch::Contains("remove it"));
  }
  SECTION("in use") {
    auto lock = util::FileLock::try_lock(runs.path());
    CHECK_THROWS_WITH(runs.run(held), Catch::Contains("another server"));
  }
  SECTION("of a larger disk") {
    runs.disk.bytes.resize(size - 1);
    runs.disk.map = extents::ExtentMap(size - 1);
    CHECK_THROWS_WITH(runs.run(held), Catch::Contains("has shrunk"));
  }
}
