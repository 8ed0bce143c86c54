// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/source/remote_server.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/common/nbd/small_server.hpp"

using namespace pull;
using namespace std::chrono_literals;
using Reply = SmallServer::Reply;

namespace {

Patience patience(unsigned retries, std::chrono::milliseconds delay = 1ms) {
  return {
      .connect = 60s, .request = 60s, .retries = retries, .retry_delay = delay, .retry_max = delay};
}

struct Lines {
  util::Log log{[this](util::Level level, const std::string &text) {
    std::lock_guard lock(mutex);
    if (level <= util::Level::warning) list.push_back(text);
  }};
  std::mutex mutex;
  std::vector<std::string> list;
};

int errnum_of(const std::function<void()> &f) {
  try {
    f();
  } catch (const util::Error &e) {
    return e.errnum();
  }
  return 0;
}

const RemoteServer::Check any = [](const nbd::Info &) {};

}  // namespace

TEST_CASE("a read that loses its connection is sent again by a new one, so often as is allowed") {
  std::atomic<int> asked = 0, hang_ups = 2;
  SmallServer server([&](const SmallRequest &) {
    ++asked;
    return --hang_ups >= 0 ? Reply::hang_up : Reply::ok;
  });
  RemoteServer remote(server.uri(), 1, patience(2), any, {});
  std::vector<std::byte> buffer(1000);
  remote.read(buffer, 5, Waiting::client);
  CHECK(asked == 3);
  CHECK(remote.connected());
  CHECK_FALSE(remote.is_given_up());
  hang_ups = 1000;
  asked = 0;
  CHECK(errnum_of([&] { remote.read(buffer, 5, Waiting::background); }) != 0);
  CHECK(asked == 3);
}

TEST_CASE("a source that is away: a client fails after its retries, and at once after that") {
  Lines lines;
  RemoteServer remote("nbd+unix:///?socket=/nonexistent/s", 1, patience(2), any, lines.log);
  std::vector<std::byte> buffer(1);
  CHECK(errnum_of([&] { remote.read(buffer, 0, Waiting::client); }) == EIO);
  CHECK(remote.retries() == 3);
  CHECK(remote.is_given_up());
  CHECK_FALSE(remote.connected());
  CHECK(errnum_of([&] { remote.read(buffer, 0, Waiting::client); }) == EIO);
  CHECK(remote.retries() == 3);
  CHECK(lines.list.size() == 1);  // one warning for all of them
}

TEST_CASE("a source that is another one is refused for good, and said so once") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  Lines lines;
  int checks = 0;
  RemoteServer remote(
      server.uri(), 1, patience(5),
      [&](const nbd::Info &info) {
        ++checks;
        CHECK(info.size == 1u << 20);
        util::fail(ESTALE, "another disk");
      },
      lines.log);
  std::vector<std::byte> buffer(1);
  for (const Waiting waiting : {Waiting::client, Waiting::background, Waiting::client}) {
    CHECK(errnum_of([&] { remote.read(buffer, 0, waiting); }) == ESTALE);
  }
  CHECK(checks == 1);
  CHECK(lines.list == std::vector<std::string>{"another disk"});
}

TEST_CASE("a source that was given up is connected to again, unless it is another one") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  std::atomic<int> errnum = EIO;
  RemoteServer remote(server.uri(), 1, patience(0),
                      [&](const nbd::Info &) {
                        if (errnum != 0) util::fail(errnum, "not now");
                      },
                      {});
  std::vector<std::byte> buffer(1);
  for (const Waiting waiting : {Waiting::background, Waiting::client}) {
    CHECK(errnum_of([&] { remote.read(buffer, 0, waiting); }) == EIO);
    CHECK(remote.retries() == 1);  // the second one has failed at once
    CHECK(remote.is_given_up());
  }
  errnum = 0;
  remote.connect_again();
  CHECK_FALSE(remote.is_given_up());
  remote.read(buffer, 0, Waiting::client);
}

TEST_CASE("a source that was given up, and is another one, is not tried again") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  std::atomic<int> errnum = EIO;
  RemoteServer remote(server.uri(), 1, patience(0),
                      [&](const nbd::Info &) { util::fail(errnum, "not this"); }, {});
  std::vector<std::byte> buffer(1);
  CHECK(errnum_of([&] { remote.read(buffer, 0, Waiting::client); }) == EIO);
  CHECK(remote.is_given_up());
  errnum = ESTALE;
  CHECK(errnum_of([&] { remote.connect_again(); }) == ESTALE);
  CHECK_FALSE(remote.is_given_up());
}

TEST_CASE("an interruption ends a pause, and what is asked after it") {
  RemoteServer remote("nbd+unix:///?socket=/nonexistent/s", 1, patience(5, 10min), any, {});
  std::vector<std::byte> buffer(1);
  int errnum = 0;
  std::jthread reader(
      [&] { errnum = errnum_of([&] { remote.read(buffer, 0, Waiting::background); }); });
  while (remote.retries() == 0) std::this_thread::yield();
  remote.interrupt();
  reader.join();
  CHECK(errnum == EINTR);
  CHECK(errnum_of([&] { remote.read(buffer, 0, Waiting::client); }) == EINTR);
}

TEST_CASE("the map is told by the first connection, before the others are made") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; }, 1,
                     [](const SmallRequest &r) {
                       return std::vector{std::pair{r.count, 0u}};
                     });
  Lines lines;
  // A second connection is never answered.
  RemoteServer remote(server.uri(), 3, patience(0), any, lines.log);
  uint64_t known = 0;
  remote.read_map(0, [&](const extents::Extent &e) { known = e.end(); });
  CHECK(known == 1u << 20);
  CHECK(lines.list.empty());
}

TEST_CASE("when it is closed, the source sees a polite end of each connection") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; }, 3);
  RemoteServer remote(server.uri(), 3, patience(0), any, {});
  std::vector<std::byte> buffer(1);
  remote.read(buffer, 0, Waiting::client);  // by one connection
  remote.add_connections();
  CHECK(server.polite_ends() == 0);
  remote.close();
  while (server.polite_ends() < 3) std::this_thread::yield();
  CHECK_FALSE(remote.connected());
}
