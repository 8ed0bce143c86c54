// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>
#include <vector>

#include "common/nbd/batch.hpp"
#include "common/nbd/connection.hpp"
#include "tests/unit/common/nbd/small_server.hpp"

using Reply = SmallServer::Reply;

namespace {

nbd::Options options(const SmallServer &server) {
  nbd::Options o;
  o.uri = server.uri();
  return o;
}

}  // namespace

TEST_CASE("a batch without requests succeeds") {
  nbd::Batch batch;
  CHECK(batch.wait() == 0);
  CHECK(!batch.failure());
}

TEST_CASE("a batch keeps its first error and the message of it") {
  nbd::Batch batch;
  for (int i = 0; i < 4; ++i) batch.begin();
  batch.end(0);
  batch.end(ENOSPC, "cannot write 5 bytes");
  batch.end(EIO, "cannot write 6 bytes");
  batch.end(0);
  CHECK(batch.wait() == ENOSPC);
  REQUIRE(batch.failure());
  CHECK(batch.failure()->errnum == ENOSPC);
  CHECK(batch.failure()->what == "cannot write 5 bytes");
}

TEST_CASE("a batch waits for all of its requests, also when it is destroyed") {
  int answered = 0;
  for (int round = 0; round < 200; ++round) {
    std::jthread other;
    std::vector<int> order;
    {
      nbd::Batch batch;
      batch.begin();
      batch.begin();
      other = std::jthread([&] {
        batch.end(0);
        order.push_back(1);
        batch.end(0);
      });
    }
    answered += order == std::vector<int>{1} ? 1 : 0;
  }
  CHECK(answered == 200);
}

TEST_CASE("a batch sends requests of every kind, and fails if one fails") {
  constexpr uint16_t trim = 4;
  std::vector<uint16_t> types;
  SmallServer server([&](const SmallRequest &r) {
    types.push_back(r.type);
    return Reply::ok;
  });
  nbd::Connection c(options(server));
  std::vector<std::byte> buffer(4096);
  {
    nbd::Batch batch;
    batch.write(c, buffer, 8192, 0);
    batch.flush(c);
    CHECK(batch.wait() == 0);
  }
  CHECK(types == std::vector<uint16_t>{1, 3});
  nbd::Batch refused;
  refused.trim(c, {0, 4096}, 0);  // not offered: libnbd refuses it
  refused.flush(c);
  CHECK(refused.wait() != 0);
  CHECK(std::count(types.begin(), types.end(), trim) == 0);
}
