// SPDX-License-Identifier: BSD-3-Clause
//
// A map in a file. Servers are in test_reconnecting_pool.cpp and tests/modules/apply.
#include "common/durability/replace_file.hpp"
#include "filters/apply/source/nbd_source.hpp"
#include "filters/apply/source/source.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;

TEST_CASE("a value with :// is a URI, any other is a file") {
  CHECK(is_uri("nbd://host/x"));
  CHECK(is_uri("nbds+unix:///?socket=/s"));
  CHECK_FALSE(is_uri("map.json"));
  CHECK_FALSE(is_uri("/a:b/c"));
}

TEST_CASE("a map in a file has no bytes to read") {
  Directory directory;
  std::string path = directory.file("map.json");
  durability::replace_file(path,
                           R"([{"offset":0,"length":10,"type":0},{"offset":10,"length":5,"type":3},
                               {"offset":15,"length":5,"type":2}])");
  auto source = make_source(path);
  DeltaView view = source->load();
  CHECK(view.map.size() == 20);
  CHECK(view.map.areas() == 3);
  CHECK_FALSE(view.source());
  CHECK(source->connect(view) == nullptr);
}

TEST_CASE("a map file that does not exist, is damaged, or has honest extents is refused") {
  Directory directory;
  std::string path = directory.file("map.json");
  CHECK_THROWS_WITH(make_source(path)->load(), Catch::Contains("no such file"));
  durability::replace_file(path, "{}");
  CHECK_THROWS_WITH(make_source(path)->load(), Catch::Contains("nbdinfo --map --json"));
  durability::replace_file(path, R"([{"offset":0,"length":10,"type":1}])");
  CHECK_THROWS_WITH(make_source(path)->load(),
                    Catch::Contains("not a delta view") && Catch::Contains("offset 0"));
}

TEST_CASE("the URI of the export honest of the same server") {
  CHECK(honest_uri("nbd://host") == "nbd://host/honest");
  CHECK(honest_uri("nbd://host:10809/") == "nbd://host:10809/honest");
  CHECK(honest_uri("nbds://host/a/b?tls-psk-file=/f/g") ==
        "nbds://host/honest/a/b?tls-psk-file=/f/g");
  CHECK(honest_uri("nbd+unix:///?socket=/s") == "nbd+unix:///honest?socket=/s");
  CHECK(honest_uri("nbd+unix:///disk?socket=/s") == "nbd+unix:///honest/disk?socket=/s");
  CHECK(honest_uri("nbd://host?x=/y") == "nbd://host/honest?x=/y");
}
