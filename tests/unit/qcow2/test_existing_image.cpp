// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;

TEST_CASE("settings that contradict the image that exists are refused") {
  Directory directory;
  std::string path = directory.file("a");
  write_file(directory.file("base"), random_bytes(1024, 1));
  write_file(directory.file("other"), random_bytes(1024, 1));
  create(path, 1 << 20, 65536, directory.file("base"), "raw");
  auto asks = [&](auto change) {
    Settings settings;
    settings.path = path;
    settings.follow_backing = true;
    change(settings);
    open_image(settings, util::Log());
  };
  CHECK_NOTHROW(asks([](Settings &o) { o.size = 1 << 20; }));
  CHECK_THROWS_WITH(asks([](Settings &o) { o.size = 512 << 10; }), Contains("size=524288"));
  CHECK_THROWS_WITH(asks([](Settings &o) { o.cluster_size = 512; }), Contains("cluster-size=512"));
  CHECK_THROWS_WITH(asks([](Settings &o) { o.follow_backing = false; }),
                    Contains("not followed unasked"));
  auto backing = [&](const char *name, const char *format) {
    asks([&](Settings &o) {
      o.backing = directory.file(name);
      o.backing_format = format;
      o.follow_backing = false;
    });
  };
  CHECK_NOTHROW(backing("base", "raw"));
  CHECK_THROWS_WITH(backing("other", "raw"), Contains("its backing file is base"));
  CHECK_THROWS_WITH(backing("base", "qcow2"), Contains("says raw"));
  CHECK_THROWS_WITH(asks([&](Settings &o) { o.path = directory.file("new"); }),
                    Contains("size= is required"));
  CHECK_THROWS_WITH(reopen(directory.file("new")), Contains("create=never"));
  CHECK_FALSE(std::filesystem::exists(directory.file("new")));
  CHECK_THROWS_WITH(asks([&](Settings &o) { o.path = directory.file("base"); }),
                    Contains("not a QCOW2 image"));
}
