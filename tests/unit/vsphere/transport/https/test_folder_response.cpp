// SPDX-License-Identifier: BSD-3-Clause
//
// Which responses to a range request are accepted.
#include <catch2/catch.hpp>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/https/folder_response.hpp"

using namespace vsphere;

TEST_CASE("a Content-Range other than the requested one is refused") {
  CHECK(check_content_range("bytes 512-1023/67108864", 512, 512, "f") == 67108864);
  for (const char *bad : {"", "bytes 0-511/67108864", "bytes 512-1022/67108864", "bytes 512-1023/*",
                          "bytes 512-1023/1000", "bytes 512-1023/", "512-1023/67108864"}) {
    CHECK_THROWS_AS(check_content_range(bad, 512, 512, "f"), util::Error);
  }
}
