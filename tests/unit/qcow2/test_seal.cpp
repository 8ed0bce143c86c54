// SPDX-License-Identifier: BSD-3-Clause
//
// seal=@STATEFILE: the image has its final name when the state file owes nothing.
#include <catch2/catch.hpp>

#include "common/replication/state_file.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;
using std::filesystem::exists;

namespace {

constexpr uint64_t size = 1 << 20;

struct Sealed {
  Directory directory;
  const std::string file = directory.file("a.qcow2");
  const std::string partial = file + ".partial";
  const std::string state = directory.file("state");
  Settings settings;

  Sealed() {
    settings.path = file;
    settings.size = size;
    settings.seal = true;
    settings.seal_state = state;
  }
  // A run that writes this byte to all of the disk and leaves such a state. Returns the image's UUID.
  std::string run(int value, std::vector<extents::Range> owed, std::string of = "this one") {
    auto image = open_image(settings, util::Log());
    image->write(std::vector<std::byte>(size, std::byte(value)), 0);
    std::string uuid = image->uuids().front();
    save(std::move(owed), of == "this one" ? uuid : of);
    close_image(settings, *image, util::Log());
    return uuid;
  }
  void save(std::vector<extents::Range> owed, const std::string &image) {
    replication::State s;
    s.checkpoint = "c";
    s.size = size;
    s.owed = std::move(owed);
    s.image = image;
    replication::save_state(state, s);
  }
  // The first byte of a file of ours.
  int first(const std::string &path) {
    auto image = reopen(path);
    return std::to_integer<int>(read_part(*image, 0, 1)[0]);
  }
  bool is_sealed() const { return exists(file) && !exists(partial); }
  bool is_partial() const { return !exists(file) && exists(partial); }
};

}  // namespace

TEST_CASE("the state file says when the image is complete") {
  Sealed s;
  {
    // Flushed, and there is no state.
    auto image = open_image(s.settings, util::Log());
    image->write(std::vector<std::byte>(size, std::byte(1)), 0);
    image->flush();
    close_image(s.settings, *image, util::Log());
    CHECK(s.is_partial());
  }
  std::string uuid = s.run(2, {{0, 4096}});
  CHECK(s.is_partial());
  s.run(2, {}, "11111111-2222-4333-8444-555555555555");  // of another image
  CHECK(s.is_partial());
  write_file(s.state, random_bytes(100, 1));
  {
    auto image = open_image(s.settings, util::Log());
    close_image(s.settings, *image, util::Log());
    CHECK(s.is_partial());
  }
  std::filesystem::remove(s.state);
  CHECK(s.run(3, {}) == uuid);
  CHECK(s.is_sealed());
  CHECK(s.first(s.file) == 3);
}

TEST_CASE("a state without the UUID of an image is taken as that of this one") {
  Sealed s;
  s.run(1, {}, "");
  CHECK(s.is_sealed());
}

TEST_CASE("a complete image that is written to again is partial until it is complete again") {
  Sealed s;
  std::string uuid = s.run(1, {});
  REQUIRE(s.is_sealed());
  // Nothing is changed: it keeps its name, also if the server is killed.
  open_image(s.settings, util::Log());
  CHECK(s.is_sealed());
  {
    auto image = open_image(s.settings, util::Log());
    CHECK(s.is_sealed());
    image->zero(0, 65536);
    CHECK(s.is_partial());
  }
  CHECK(s.is_partial());
  for (Create create : {Create::automatic, Create::never}) {
    s.settings.create = create;
    CHECK(s.run(4, {{0, 4096}}) == uuid);
    CHECK(s.is_partial());
  }
  CHECK(s.run(4, {}) == uuid);
  CHECK(s.is_sealed());
  CHECK(s.first(s.file) == 4);
}

TEST_CASE(
    "create=always goes on with what it has begun, and then takes the place of the old image") {
  Sealed s;
  std::string old = s.run(1, {});
  s.settings.create = Create::always;
  // Interrupted before there is a state of it: begun anew, which loses nothing.
  std::string lost = open_image(s.settings, util::Log())->uuids().front();
  CHECK(lost != old);
  CHECK(exists(s.partial));
  std::string begun = s.run(2, {{0, 4096}});
  CHECK(begun != lost);
  CHECK(exists(s.partial));
  CHECK(s.first(s.file) == 1);
  CHECK(s.run(3, {{0, 4096}}) == begun);
  // Without create=always as well.
  s.settings.create = Create::automatic;
  CHECK(s.run(4, {{0, 4096}}) == begun);
  CHECK(s.first(s.file) == 1);
  s.settings.create = Create::always;
  CHECK(s.run(5, {}) == begun);
  CHECK(s.is_sealed());
  CHECK(s.first(s.file) == 5);
  // Complete: the next one is new.
  CHECK(s.run(6, {}) != begun);
  CHECK(s.is_sealed());
}

TEST_CASE("a file that has both names after a crash is complete") {
  Sealed s;
  s.run(1, {});
  std::filesystem::create_hard_link(s.file, s.partial);
  s.run(2, {});
  CHECK(s.is_sealed());
  CHECK(s.first(s.file) == 2);
  // A symbolic link is not a second name.
  std::filesystem::rename(s.file, s.partial);
  std::filesystem::create_symlink(s.partial, s.file);
  s.run(3, {});
  CHECK(s.is_sealed());
  CHECK(s.first(s.file) == 3);
}

TEST_CASE("the image that is to be replaced cannot be the backing file of the new one") {
  Sealed s;
  s.run(1, {});
  s.settings.create = Create::always;
  s.settings.backing = s.file;
  s.settings.backing_format = "qcow2";
  CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("is the image itself"));
  CHECK(s.is_sealed());
}

TEST_CASE("create=never with seal=@ needs one of the two files") {
  Sealed s;
  s.settings.create = Create::never;
  CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("does not exist"));
}
