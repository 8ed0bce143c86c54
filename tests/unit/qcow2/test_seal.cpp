// SPDX-License-Identifier: BSD-3-Clause
//
// seal=@STATEFILE: the image has its final name when the state file owes nothing.
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <optional>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "common/replication/state_file.hpp"
#include "plugins/qcow2/file/image_lock.hpp"
#include "plugins/qcow2/lifecycle/unfinished_image.hpp"
#include "plugins/qcow2/seal.hpp"
#include "plugins/qcow2/tables/table_check.hpp"
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
    settings.state = state;
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
  {
    auto image = open_image(s.settings, util::Log());
    write_file(s.state, random_bytes(100, 1));
    close_image(s.settings, *image, util::Log());
    CHECK(s.is_partial());
  }
  // What it could not become complete with is refused at the start.
  CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("not a usable state file"));
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

namespace {

std::optional<Identity> mark_of(const std::string &path) {
  return read_header(ImageFile(util::open_file(path, O_RDONLY), path)).identity;
}

// Without seal=: the image keeps its name, and is marked.
struct Tracked : Sealed {
  Tracked() { settings.seal = false; }
  Completeness mark() const { return mark_of(file)->state; }
};

}  // namespace

TEST_CASE("an image is marked as complete when the state owes nothing, and not before") {
  Tracked s;
  s.run(1, {{0, 4096}});
  CHECK(s.mark() == Completeness::incomplete);
  s.run(2, {});
  CHECK(s.mark() == Completeness::complete);
  CHECK(mark_of(s.file)->checkpoint == "c");
  CHECK(mark_of(s.file)->completed > 1700000000);
  {
    // Looked at only; and then the first change is not made before the mark is gone.
    auto image = open_image(s.settings, util::Log());
    image->flush();
    CHECK(s.mark() == Completeness::complete);
    image->zero(0, 65536);
    CHECK(s.mark() == Completeness::incomplete);
    CHECK(mark_of(s.file)->checkpoint.empty());
    CHECK(mark_of(s.file)->completed == 0);
  }
  s.run(3, {});
  CHECK(s.mark() == Completeness::complete);
  // Nothing has changed up to a later checkpoint.
  replication::State state = *replication::load_state(s.state);
  state.checkpoint = "c2";
  replication::save_state(s.state, state);
  close_image(s.settings, *open_image(s.settings, util::Log()), util::Log());
  CHECK(mark_of(s.file)->checkpoint == "c2");
  // Nobody will say what this one has come to. Data that is overwritten in place is a change as well.
  reopen(s.file)->write(std::vector<std::byte>(512), 0);
  CHECK(s.mark() == Completeness::incomplete);
  Header header = read_header(ImageFile(util::open_file(s.file, O_RDONLY), s.file));
  CHECK((header.incompatible & dirty_bit) != 0);
}

TEST_CASE("an image of which nobody says anything has no mark") {
  Directory directory;
  auto image = create(directory.file("a"), size, 65536);
  image->write(std::vector<std::byte>(size, std::byte(1)), 0);
  image->finalise();
  CHECK(mark_of(directory.file("a"))->state == Completeness::untold);
}

TEST_CASE("the mark is durable before the name, and says what it says as a whole") {
  Sealed s;
  durability::SyncPoint::Hold prepared("qcow2.before_complete"), marked("qcow2.marked_complete");
  std::thread run([&] { s.run(1, {}); });
  prepared.wait();
  CHECK(mark_of(s.partial)->state == Completeness::incomplete);
  prepared.release();
  marked.wait();
  CHECK(mark_of(s.partial)->state == Completeness::complete);
  CHECK(s.is_partial());
  marked.release();
  run.join();
  CHECK(mark_of(s.file)->state == Completeness::complete);
}

TEST_CASE("QEMU keeps the mark, and an image that it has made has none") {
  Tracked s;
  s.run(1, {});
  const auto before = mark_of(s.file);
  REQUIRE(std::system(("qemu-img amend -f qcow2 -o lazy_refcounts=on " + s.file).c_str()) == 0);
  REQUIRE(std::system(("qemu-img check -q " + s.file).c_str()) == 0);
  CHECK(mark_of(s.file) == before);
  // Where QEMU has moved the extension to.
  Settings over = s.settings;
  over.path = s.directory.file("over");
  over.backing = s.file;
  over.backing_format = "qcow2";
  open_image(over, util::Log())->write(std::vector<std::byte>(512, std::byte(2)), 0);
  CHECK(mark_of(over.path)->state == Completeness::incomplete);
  CHECK(mark_of(s.file) == before);
  REQUIRE(std::system(("qemu-img check -q -r all " + over.path + " > /dev/null").c_str()) == 0);
  REQUIRE(std::system(("qemu-img rebase -u -f qcow2 -F qcow2 -b ./a.qcow2 " + over.path).c_str()) ==
          0);
  const std::string uuid = reopen(over.path)->uuids().front();
  s.save({}, uuid);
  close_image(over,
              *open_image(
                  [&] {
                    Settings settings = over;
                    settings.create = Create::never;
                    return settings;
                  }(),
                  util::Log()),
              util::Log());
  CHECK(mark_of(over.path)->state == Completeness::complete);
  REQUIRE(std::system(("qemu-img commit -q -f qcow2 -d " + over.path).c_str()) == 0);
  CHECK(mark_of(s.file) == before);
  CHECK(mark_of(over.path)->state == Completeness::complete);
}

TEST_CASE("an image that is moved or replaced is not flushed, and not called complete") {
  bool sealed = GENERATE(false, true);
  Sealed s;
  s.settings.seal = sealed;
  const std::string name = sealed ? s.partial : s.file;
  auto image = open_image(s.settings, util::Log());
  image->write(std::vector<std::byte>(size, std::byte(1)), 0);
  image->flush();
  std::filesystem::rename(name, s.directory.file("moved"));
  auto refused = Contains("no longer the file that is written");
  CHECK_THROWS_WITH(image->flush(), refused);
  write_file(name, random_bytes(1000, 1));
  CHECK_THROWS_WITH(image->flush(), refused);
  CHECK_THROWS_WITH(image->make_durable(), refused);
  s.save({}, image->uuids().front());
  CHECK_THROWS_WITH(close_image(s.settings, *image, util::Log()), refused);
  CHECK(mark_of(s.directory.file("moved"))->state == Completeness::incomplete);
  CHECK(load_file(name) == random_bytes(1000, 1));
}

TEST_CASE("seal=on: what could not become complete at the end is refused at the start") {
  Sealed s;
  s.settings.state.clear();
  write_file(s.file, random_bytes(1000, 1));
  write_file(s.partial, random_bytes(1000, 2));
  for (Create create : {Create::automatic, Create::never}) {
    s.settings.create = create;
    CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("exists as well: remove"));
  }
  CHECK(load_file(s.file) == random_bytes(1000, 1));
  CHECK(load_file(s.partial) == random_bytes(1000, 2));
  std::filesystem::remove(s.file);
  std::filesystem::create_directory(s.file);
  s.settings.create = Create::always;
  CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("must be a regular file"));
  std::filesystem::remove(s.file);
  s.settings.state = s.directory.file("");
  CHECK_THROWS_WITH(open_image(s.settings, util::Log()), Contains("is a directory"));
}

TEST_CASE(
    "images whose creation was killed are removed by the next run, unless somebody holds them") {
  Directory directory;
  const std::string path = directory.file("a.qcow2");
  const std::string left = path + ".tmp-6f0e7d1c-8a55-4c7e-9d0a-0d2b6c1f0a11";
  const std::string held = path + ".tmp-6f0e7d1c-8a55-4c7e-9d0a-0d2b6c1f0a12";
  const std::string others[] = {path + ".tmp-mine",
                                path + "2.tmp-6f0e7d1c-8a55-4c7e-9d0a-0d2b6c1f0a13",
                                path + ".tmp-6f0e7d1c-8a55-4c7e-9d0a-0d2b6c1f0a1", left + ".bak"};
  for (const auto &other : others) write_file(other, {});
  write_file(left, random_bytes(1000, 1));
  write_file(held, {});
  util::Fd holder = util::open_file(held, O_RDWR);
  lock_image(holder, held, Use::write);
  create(path, size, 65536);
  CHECK_FALSE(exists(left));
  CHECK(exists(held));
  for (const auto &other : others) CHECK(exists(other));
  holder = util::Fd();
  Settings settings;
  settings.path = path;
  settings.lock = false;
  open_image(settings, util::Log());
  CHECK(exists(held));
  reopen(path);
  CHECK_FALSE(exists(held));
}

TEST_CASE(
    "an image that is being created and is not locked yet may be removed, and is created "
    "nevertheless") {
  Directory directory;
  const std::string path = directory.file("a.qcow2");
  durability::SyncPoint::Hold unlocked("qcow2.unfinished_image_not_locked");
  std::thread creator([&] { create(path, size, 65536); });
  unlocked.wait();
  remove_unfinished_images(path);
  unlocked.release();
  creator.join();
  CHECK(exists(path));
  CHECK(check(path) == 0);
}
