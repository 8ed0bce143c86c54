// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>

#include "common/util/error.hpp"
#include "filters/fanout/server/connection.hpp"
#include "tests/unit/fanout/server/fake_target.hpp"
#include "tests/unit/fanout/sizes.hpp"

using namespace fanout;

namespace {

struct Rig {
  explicit Rig(uint64_t size, unsigned concurrency = 16, uint64_t rate = 0) {
    auto owned = std::make_unique<FakeTarget>(size);
    target = owned.get();
    DestinationSettings settings;
    settings.name = "dr";
    settings.concurrency = concurrency;
    settings.rate = rate;
    connection = std::make_unique<DestinationConnection>(settings, std::move(owned), counters);
  }
  Counters counters{"dr"};
  FakeTarget *target;
  std::unique_ptr<DestinationConnection> connection;
  DestinationBatch batch;  // last: it waits for requests
};

}  // namespace

TEST_CASE("a write is split to the server's maximum block") {
  Rig rig(10000);
  rig.target->information.maximum_block = 4096;
  std::vector<std::byte> data(9000);
  for (size_t i = 0; i < data.size(); ++i) data[i] = std::byte(i * 7);
  rig.connection->write(rig.batch, data, 500, true);
  rig.batch.wait();
  CHECK(rig.target->calls() == std::vector<Call>{{'w', 500, 4096, nbd::fua},
                                                 {'w', 4596, 4096, nbd::fua},
                                                 {'w', 8692, 808, nbd::fua}});
  CHECK(std::equal(data.begin(), data.end(), rig.target->content.begin() + 500));
  CHECK(rig.target->content[499] == std::byte{0xff});
  CHECK(rig.target->content[9500] == std::byte{0xff});
  CHECK(rig.counters.bytes == 9000);
  CHECK(rig.counters.requests == 3);
  CHECK(rig.counters.in_flight == 0);
}

TEST_CASE("a zero is split to 32 MiB, with its flags; FUA only where the server has it") {
  const bool can_fua = GENERATE(false, true);
  const uint32_t flags = nbd::no_hole | (can_fua ? uint32_t{nbd::fua} : 0);
  Rig rig(70 * M);
  rig.target->information.can_fua = can_fua;
  rig.connection->zero(rig.batch, {M, 65 * M}, nbd::no_hole, true);
  rig.batch.wait();
  CHECK(rig.target->calls() == std::vector<Call>{{'z', M, 32 * M, flags},
                                                 {'z', 33 * M, 32 * M, flags},
                                                 {'z', 65 * M, M, flags}});
  CHECK(rig.counters.zero_bytes == 65 * M);
  CHECK(rig.counters.bytes == 0);
}

TEST_CASE("a server that cannot zero is sent zeroes, split to its maximum block") {
  Rig rig(4 * M);
  rig.target->information.can_zero = false;
  rig.target->information.maximum_block = M / 2;
  rig.connection->zero(rig.batch, {50, M + 100}, nbd::no_hole, false);
  rig.batch.wait();
  CHECK(rig.target->calls() ==
        std::vector<Call>{{'w', 50, M / 2, 0}, {'w', 50 + M / 2, M / 2, 0}, {'w', 50 + M, 100, 0}});
  CHECK(rig.target->content[49] == std::byte{0xff});
  CHECK(rig.target->content[50] == std::byte{0});
  CHECK(rig.target->content[M + 149] == std::byte{0});
  CHECK(rig.target->content[M + 150] == std::byte{0xff});
  CHECK(rig.counters.zero_bytes == M + 100);
}

TEST_CASE("no more requests are in flight than the concurrency") {
  Rig rig(M, 3);
  rig.target->at_once = false;
  std::vector<std::byte> data(100);
  for (uint64_t i = 0; i < 20; ++i) rig.connection->write(rig.batch, data, i * 100, false);
  CHECK(rig.target->held() == 3);
  CHECK(rig.counters.in_flight == 3);
  rig.target->answer_all();
  rig.batch.wait();
  CHECK(rig.target->calls().size() == 20);
  CHECK(rig.target->most_held() == 3);
  CHECK(rig.batch.succeeded());
}

TEST_CASE("the first failure is kept; an error of the server does not end the connection") {
  Rig rig(M, 2);
  rig.target->at_once = false;
  std::vector<std::byte> data(100);
  for (uint64_t i = 0; i < 5; ++i) rig.connection->write(rig.batch, data, i * 100, false);
  CHECK(rig.target->answer_all(ENOSPC) == 5);
  rig.batch.wait();
  REQUIRE(!rig.batch.succeeded());
  CHECK(rig.batch.failure()->errnum == ENOSPC);
  CHECK(rig.batch.failure()->what == "cannot write 100 bytes at offset 0: No space left on device");
  CHECK(!rig.connection->dead());
  CHECK(rig.counters.requests == 0);
  CHECK(rig.counters.in_flight == 0);
}

TEST_CASE("after a lost connection what waits and what comes is not sent") {
  Rig rig(M, 2);
  rig.target->at_once = false;
  std::vector<std::byte> data(100);
  for (uint64_t i = 0; i < 5; ++i) rig.connection->write(rig.batch, data, i * 100, false);
  CHECK(rig.target->answer_all(ENOTCONN) == 2);
  rig.batch.wait();
  CHECK(rig.target->calls().size() == 2);
  CHECK(rig.batch.failure()->errnum == ENOTCONN);
  CHECK(rig.connection->dead());
  DestinationBatch another;
  rig.connection->flush(another);
  another.wait();
  CHECK(another.failure()->what == "cannot flush: the connection was lost");
  CHECK(rig.target->calls().size() == 2);
}

TEST_CASE("dead() is true although another NBD connection still answers") {
  Rig rig(M);
  rig.target->is_dead = true;
  CHECK(rig.connection->dead());
  rig.connection->flush(rig.batch);
  rig.batch.wait();
  CHECK(rig.target->calls().empty());
  CHECK(rig.batch.failure()->what == "cannot flush: the connection was lost");
}

TEST_CASE("a timeout's message names the limit") {
  Rig rig(M);
  rig.target->errnum = ETIMEDOUT;
  rig.connection->zero(rig.batch, {0, 4096}, 0, false);
  rig.batch.wait();
  CHECK(rig.batch.failure()->what ==
        "cannot zero 4096 bytes at offset 0: no answer within 60 s (fanout-timeout)");
  CHECK(rig.connection->dead());
}

TEST_CASE("a server without flush is sent none") {
  Rig rig(M);
  rig.target->information.can_flush = false;
  rig.connection->flush(rig.batch);
  CHECK(rig.target->calls().empty());
}

TEST_CASE("what is read is what was written") {
  Rig rig(M);
  rig.target->information.maximum_block = 4096;
  std::vector<std::byte> data(10000, std::byte{5});
  std::vector<std::byte> back(10000);
  rig.connection->write(rig.batch, data, 77, false);
  rig.batch.wait();
  rig.connection->read(rig.batch, back, 77);
  rig.batch.wait();
  CHECK(back == data);
}

TEST_CASE("with a rate requests are split to a quarter of a second, and the rate is kept") {
  constexpr uint64_t rate = 4 * M;
  Rig rig(16 * M, 16, rate);
  std::vector<std::byte> data(3 * M);
  auto begin = std::chrono::steady_clock::now();
  rig.connection->write(rig.batch, data, 0, false);
  rig.batch.wait();
  double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  // 1 MiB may go at once, and one request more than there is.
  CHECK(took >= 0.24);
  CHECK(rig.batch.succeeded());
  for (const Call &call : rig.target->calls()) CHECK(call.count <= rate / 4);
  // Zeroes have no payload.
  begin = std::chrono::steady_clock::now();
  rig.connection->zero(rig.batch, {0, 1}, 0, false);
  rig.batch.wait();
  CHECK(rig.target->calls().back().kind == 'z');
}
