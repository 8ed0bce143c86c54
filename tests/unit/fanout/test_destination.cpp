// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "filters/fanout/destination.hpp"
#include "tests/unit/fanout/fake_target.hpp"

using namespace fanout;

namespace {

constexpr uint64_t M = 1u << 20;

struct Rig {
  explicit Rig(uint64_t size, unsigned concurrency = 16) {
    auto owned = std::make_unique<FakeTarget>(size);
    target = owned.get();
    Settings settings;
    settings.name = "dr";
    settings.concurrency = concurrency;
    destination = std::make_unique<Destination>(settings, std::move(owned), counters);
  }
  Counters counters{"dr"};
  FakeTarget *target;
  std::unique_ptr<Destination> destination;
};

std::string failure(const Destination &d) {
  try {
    d.check();
  } catch (const util::Error &e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a write is split to the server's maximum, and every byte arrives") {
  Rig rig(10000);
  rig.target->information.maximum_block = 4096;
  std::vector<std::byte> data(9000);
  for (size_t i = 0; i < data.size(); ++i) data[i] = std::byte(i * 7);
  Gather gather;
  rig.destination->write(gather, data, 500, true);
  gather.wait();
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
  Rig rig(70 * M);
  rig.target->information.can_fua = false;
  Gather gather;
  rig.destination->zero(gather, 65 * M, M, nbd::no_hole, true);
  gather.wait();
  CHECK(rig.target->calls() == std::vector<Call>{{'z', M, 32 * M, nbd::no_hole},
                                                 {'z', 33 * M, 32 * M, nbd::no_hole},
                                                 {'z', 65 * M, M, nbd::no_hole}});
  CHECK(rig.counters.zero_bytes == 65 * M);
  CHECK(rig.counters.bytes == 0);
}

TEST_CASE("a server that cannot zero is sent zeroes, no more than it takes") {
  Rig rig(4 * M);
  rig.target->information.can_zero = false;
  rig.target->information.maximum_block = M / 2;
  Gather gather;
  rig.destination->zero(gather, M + 100, 50, nbd::no_hole, false);
  gather.wait();
  CHECK(rig.target->calls() ==
        std::vector<Call>{{'w', 50, M / 2, 0}, {'w', 50 + M / 2, M / 2, 0}, {'w', 50 + M, 100, 0}});
  CHECK(rig.target->content[49] == std::byte{0xff});
  CHECK(rig.target->content[50] == std::byte{0});
  CHECK(rig.target->content[M + 149] == std::byte{0});
  CHECK(rig.target->content[M + 150] == std::byte{0xff});
  CHECK(rig.counters.zero_bytes == M + 100);
}

TEST_CASE("no more requests are in flight than allowed, and none is lost for that") {
  Rig rig(M, 3);
  rig.target->at_once = false;
  std::vector<std::byte> data(100);
  Gather gather;
  for (uint64_t i = 0; i < 20; ++i) rig.destination->write(gather, data, i * 100, false);
  CHECK(rig.target->held() == 3);
  CHECK(rig.counters.in_flight == 3);
  rig.target->answer_all();
  gather.wait();
  CHECK(rig.target->calls().size() == 20);
  CHECK(rig.target->most_held() == 3);
  CHECK(failure(*rig.destination).empty());
}

TEST_CASE("the first failure is kept, with the name; what waits and what comes is not sent") {
  Rig rig(M, 2);
  rig.target->at_once = false;
  std::vector<std::byte> data(100);
  {
    Gather gather;
    for (uint64_t i = 0; i < 5; ++i) rig.destination->write(gather, data, i * 100, false);
    CHECK(rig.target->answer_all(ENOSPC) == 2);
  }
  CHECK(rig.target->calls().size() == 2);
  CHECK_THAT(failure(*rig.destination),
             Catch::StartsWith("dr: cannot write 100 bytes at offset 0: No space left on device"));
  {
    Gather gather;
    rig.destination->write(gather, data, 0, false);
    rig.destination->flush(gather);
  }
  CHECK(rig.target->calls().size() == 2);
  try {
    rig.destination->check();
  } catch (const util::Error &e) {
    CHECK(e.errnum() == ENOSPC);
  }
  CHECK(rig.counters.requests == 0);
  CHECK(rig.counters.in_flight == 0);
}

TEST_CASE("a lost connection is a failure although another one still answers") {
  Rig rig(M);
  rig.target->is_dead = true;
  Gather gather;
  rig.destination->flush(gather);
  gather.wait();
  CHECK(rig.target->calls().empty());
  CHECK_THAT(failure(*rig.destination),
             Catch::StartsWith("dr: cannot flush: the connection was lost"));
  try {
    rig.destination->check();
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EIO);
  }
}

TEST_CASE("no answer in time is told with the limit") {
  Rig rig(M);
  rig.target->errnum = ETIMEDOUT;
  Gather gather;
  rig.destination->zero(gather, 4096, 0, 0, false);
  gather.wait();
  CHECK_THAT(failure(*rig.destination), Catch::Contains("cannot zero 4096 bytes at offset 0") &&
                                            Catch::Contains("60 s (fanout-timeout)"));
}

TEST_CASE("a server without flush is not asked for one") {
  Rig rig(M);
  rig.target->information.can_flush = false;
  Gather gather;
  rig.destination->flush(gather);
  CHECK(rig.target->calls().empty());
}
