// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;
using Catch::Contains;

TEST_CASE("an image in use is refused, a backing file may have several readers") {
  Directory directory;
  std::string path = directory.file("a"), top = directory.file("top");
  auto image = create(path, 1 << 20, 65536);
  CHECK_THROWS_WITH(reopen(path), Contains("in use by another process"));
  CHECK_THROWS_WITH(create(top, 1 << 20, 65536, path, "qcow2"),
                    Contains("being written by another"));
  image.reset();
  auto one = create(top, 1 << 20, 65536, path, "qcow2");
  auto two = create(directory.file("top2"), 1 << 20, 65536, path, "qcow2");
  CHECK_THROWS_WITH(reopen(path), Contains("in use by another process"));
  one.reset();
  two.reset();
  CHECK_NOTHROW(reopen(path));
}
