// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "filters/fanout/fanout_server.hpp"
#include "tests/unit/common/nbd/small_server.hpp"
#include "tests/unit/fanout/sizes.hpp"

using namespace fanout;

namespace {

// One destination, which is all zeroes and is read back at the end. The primary is all zeroes too.
class OneDestination {
 public:
  explicit OneDestination(double verify) {
    DestinationSettings one;
    one.uri = server_.uri();
    one.name = "a";
    one.connections = 1;
    one.verify = verify;
    one.policy.async = true;
    one.connect_timeout = one.request_timeout = std::chrono::minutes(10);
    Settings settings;
    settings.destinations = {one};
    settings.drain_timeout = std::chrono::minutes(2);
    fanout.emplace(settings, util::Log([this](util::Level, const std::string &text) {
                     std::lock_guard guard(lock_);
                     log_ += text + "\n";
                   }));
  }

  static void zeroes(std::span<std::byte> buffer, uint64_t) {
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
  }
  void start() {
    fanout->start([](uint64_t) { return zeroes; });
  }
  PrimaryReaders::Id join(uint64_t size = M) { return fanout->join(size, "", zeroes).value(); }
  bool said(const std::string &text) {
    std::lock_guard guard(lock_);
    return log_.find(text) != std::string::npos;
  }

  std::atomic<bool> held = false;     // reads are answered when it is false
  std::atomic<bool> reading = false;  // one has come

 private:
  SmallServer server_{[this](const SmallRequest &request) {
                        if (request.type == 0) reading = true;
                        while (request.type == 0 && held) std::this_thread::yield();
                        return SmallServer::Reply::ok;
                      },
                      2};
  std::mutex lock_;
  std::string log_;

 public:
  std::optional<FanoutServer> fanout;  // last: it uses the others
};

}  // namespace

// The drainer waits, and sees neither the client nor that it has left: that takes no time.
TEST_CASE("fanout server: a client that comes and leaves while the destinations are drained") {
  for (int i = 0; i < 5; ++i) {
    OneDestination rig(1);
    rig.start();
    rig.held = true;
    rig.fanout->leave(rig.join());
    while (!rig.reading) std::this_thread::yield();
    rig.fanout->leave(rig.join());
    rig.held = false;
    rig.fanout->finish();
    REQUIRE(!rig.said("still behind"));
    CHECK(rig.said("a: 100% of the blocks were read back: all are equal"));
  }
}

TEST_CASE("fanout server: nothing is read through a client that has not left at the end") {
  OneDestination rig(1);
  rig.start();
  std::atomic<bool> used = false;
  CHECK(rig.fanout->join(M, "", [&](std::span<std::byte>, uint64_t) { used = true; }));
  rig.fanout->finish();
  CHECK(!used);
  CHECK(rig.said("a: 100% of the blocks were read back: all are equal"));
  CHECK(rig.said("a: 0 bytes written and 0 zeroed"));
}

TEST_CASE("fanout server: the same where the primary cannot be read without a client") {
  OneDestination rig(1);
  rig.fanout->start([](uint64_t) { return PrimaryReaders::Read(); });
  rig.join();
  rig.fanout->finish();
  CHECK(rig.said("not read back"));
  CHECK(!rig.said("has to wait"));
  CHECK(rig.said("a: 0 bytes written and 0 zeroed"));
}

TEST_CASE(
    "fanout server: a client that finds another size has to wait until the destinations are "
    "closed") {
  OneDestination rig(0);
  rig.start();
  auto first = rig.join(M);
  for (uint64_t size : {M - B, M + B}) {
    CHECK_THROWS_WITH(rig.join(size), Catch::Contains("had 1048576 bytes") &&
                                          Catch::Contains("has " + std::to_string(size) + " now"));
  }
  rig.fanout->leave(rig.join(M));
  rig.fanout->leave(first);
  rig.fanout->leave(rig.join(M - B));
  rig.fanout->finish();
}
