// SPDX-License-Identifier: BSD-3-Clause
//
// In which order an image becomes durable and gets its names, and what is taken for durable.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/qcow2/seal.hpp"
#include "tests/unit/durable_calls.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::StartsWith;

namespace {

Settings sealed(const Directory &directory) {
  Settings settings;
  settings.path = directory.file("a.qcow2");
  settings.size = 1 << 20;
  settings.seal = true;
  return settings;
}

}  // namespace

TEST_CASE("a new image is durable, whole, before it has its name, and then the name is") {
  Directory directory;
  testing::DurableCalls calls;
  create(directory.file("a.qcow2"), 1 << 20, 512);
  auto list = calls.list();
  REQUIRE(list.size() == 3);
  CHECK(list[0] == "sync a.qcow2.tmp " +
                       std::to_string(std::filesystem::file_size(directory.file("a.qcow2"))));
  CHECK(list[1] == "rename a.qcow2.tmp a.qcow2");
  CHECK(list[2] == "sync directory");
}

TEST_CASE("an image gets its final name when it is durable, and then the name is") {
  Directory directory;
  Settings settings = sealed(directory);
  auto image = open_image(settings, util::Log());
  image->write(random_bytes(100000, 1), 0);
  image->flush();
  testing::DurableCalls calls;
  close_image(settings, *image, util::Log());
  auto list = calls.list();
  REQUIRE(list.size() > 3);
  CHECK_THAT(list[list.size() - 3], StartsWith("sync a.qcow2.partial "));
  CHECK(list[list.size() - 2] == "rename a.qcow2.partial a.qcow2");
  CHECK(list[list.size() - 1] == "sync directory");
  CHECK(std::count_if(list.begin(), list.end(),
                      [](const auto &call) { return call.starts_with("rename"); }) == 1);
}

TEST_CASE("a complete image is partial, durably, before its first change") {
  Directory directory;
  Settings settings = sealed(directory);
  {
    auto image = open_image(settings, util::Log());
    image->flush();
    close_image(settings, *image, util::Log());
  }
  settings.state = directory.file("state");
  auto image = open_image(settings, util::Log());
  testing::DurableCalls calls;
  image->write(random_bytes(100000, 1), 0);
  auto list = calls.list();
  REQUIRE(list.size() >= 3);
  CHECK(list[0] == "rename a.qcow2 a.qcow2.partial");
  CHECK(list[1] == "sync directory");
  CHECK_THAT(list[2], StartsWith("sync a.qcow2"));
}

TEST_CASE("a file that has come in the place of a new image meanwhile is kept") {
  Directory directory;
  Settings settings = sealed(directory);
  auto image = open_image(settings, util::Log());
  image->flush();
  auto precious = random_bytes(1000, 1);
  write_file(settings.path, precious);
  try {
    close_image(settings, *image, util::Log());
    FAIL("closed");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EEXIST);
  }
  CHECK((load_file(settings.path) == precious));
  CHECK(std::filesystem::exists(settings.path + ".partial"));
}

TEST_CASE("what the disk does not have of a dirty image is forgotten before it is looked at") {
  Directory directory;
  const std::string path = directory.file("a.qcow2");
  auto image = create(path, 1 << 20, 4096);
  const auto data = random_bytes(100000, 1);
  image->write(data, 0);
  image->finalise();
  const auto disk = read_all(*image), durable = load_file(path);
  image.reset();
  {
    testing::DurableCalls calls;
    image = reopen(path);
    CHECK(calls.list().empty());  // the image is clean
  }
  image.reset();
  Settings settings;
  settings.path = path;
  settings.size = 2 << 20;
  image = open_image(settings, util::Log());
  image->write(data, 500000);
  image->flush();
  image.reset();
  {
    testing::DurableCalls calls([&](const std::string &call) {
      if (call == "forget a.qcow2") write_file(path, durable);
    });
    image = reopen(path);
    auto list = calls.list();
    REQUIRE(list.size() == 2);
    CHECK_THAT(list[0], StartsWith("sync a.qcow2 "));
    CHECK(list[1] == "forget a.qcow2");
  }
  REQUIRE(image->size() == 1 << 20);
  CHECK((read_all(*image) == disk));
  image->write(data, 500000);
  image->finalise();
  CHECK((read_part(*image, 500000, data.size()) == data));
  image.reset();
  CHECK(check(path) == 0);
}
