// SPDX-License-Identifier: BSD-3-Clause
//
// The socket between the plugin and its VDDK helper.
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"

using namespace vsphere::vddk;

TEST_CASE("a channel carries packets and a file descriptor, and sees its deadline and its end") {
  auto [a, b] = Channel::make_pair();
  int raw = b.get();
  Channel left(std::move(a));
  std::optional<Channel> right(std::move(b));
  util::Fd attached;
  left.send(Start{}, STDERR_FILENO);
  REQUIRE(std::holds_alternative<Start>(right->receive(std::nullopt, &attached).value()));
  CHECK(attached.get() > STDERR_FILENO);
  left.send(Stop{});
  REQUIRE(right->receive(std::nullopt, &attached).has_value());
  CHECK(!attached);

  auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::milliseconds(20); };
  auto errnum = [&] {
    try {
      left.receive(soon());
      return 0;
    } catch (const util::Error &e) {
      return e.errnum();
    }
  };
  CHECK(errnum() == ETIMEDOUT);
  std::string large(max_message + 1, 'x');
  REQUIRE(::send(raw, large.data(), large.size(), 0) > 0);
  CHECK(errnum() == EPROTO);
  // What finds no room is dropped, and does not wait.
  for (int i = 0; i < 10'000; ++i) right->send_if_room(LogLine{LogLine::Level::debug, "line"});
  int arrived = 0;
  while (errnum() == 0) ++arrived;
  CHECK(arrived > 0);
  CHECK(arrived < 10'000);
  right.reset();
  CHECK(!left.receive(soon()).has_value());
  CHECK_THROWS_AS(left.send(Stop{}), util::Error);
}
