// SPDX-License-Identifier: BSD-3-Clause
//
// The messages between the plugin and its VDDK helper, and packets that are not messages.
#include <catch2/catch.hpp>
#include <cerrno>
#include <random>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

using namespace vsphere::vddk;
using vsphere::Secret;

namespace {

Start start() {
  Start s;
  s.library = "/l/libvixDiskLib.so.8";
  s.directory = "/l";
  s.config = "";
  s.server = "vc";
  s.port = 8443;
  s.user = "me";
  s.password = Secret(std::string("a secret"));
  s.thumbprint = "AA:BB";
  s.vm = "vm-1";
  s.snapshot = "snapshot-2";
  s.path = "[ds] a/a.vmdk";
  s.transports = "nbdssl:nbd";
  s.identity = "us";
  s.open_flags = 36;
  s.slots = 16;
  return s;
}

std::vector<std::string> one_of_each() {
  return {encode(start()),
          encode(Read{1, 2, 3, 4}),
          encode(Query{1, 2, 3, 4, 128}),
          encode(Stop{}),
          encode(Started{99, "nbdssl", true}),
          encode(Failed{"VixDiskLib_Open", 1, "Unknown error"}),
          encode(Done{7, 13, 5, "no"}),
          encode(LogLine{LogLine::Level::helper, "line"})};
}

int errnum_of(std::string_view packet) {
  try {
    decode(packet);
    return 0;
  } catch (const util::Error &e) {
    return e.errnum();
  }
}

}  // namespace

TEST_CASE("every message is decoded as it was encoded") {
  auto s = std::get<Start>(decode(encode(start())));
  CHECK(s.library == "/l/libvixDiskLib.so.8");
  CHECK(s.config.empty());
  CHECK(s.port == 8443);
  CHECK(s.password.get() == "a secret");
  CHECK(s.identity == "us");
  CHECK(s.open_flags == 36);
  CHECK(s.slots == 16);
  auto query = std::get<Query>(decode(encode(Query{1, 2, uint64_t{1} << 50, 4, 128})));
  CHECK(query.sector == uint64_t{1} << 50);
  CHECK(query.chunk == 128);
  CHECK(std::get<Read>(decode(encode(Read{5, 6, 7, 8}))).count == 8);
  CHECK(std::get<Started>(decode(encode(Started{99, "nbd", true}))).can_query);
  CHECK(std::get<Failed>(decode(encode(Failed{"x", 3, "y"}))).code == 3);
  CHECK(std::get<Done>(decode(encode(Done{7, 13, 5, "no"}))).text == "no");
  CHECK(std::get<LogLine>(decode(encode(LogLine{LogLine::Level::warning, "line"}))).level ==
        LogLine::Level::warning);
  CHECK(std::holds_alternative<Stop>(decode(encode(Stop{}))));
}

TEST_CASE("a message that is cut anywhere, or too long, is refused") {
  for (const std::string &whole : one_of_each()) {
    CHECK(errnum_of(whole) == 0);
    for (size_t length = 0; length < whole.size(); ++length) {
      CHECK(errnum_of(std::string_view(whole).substr(0, length)) == EPROTO);
    }
    CHECK(errnum_of(whole + "x") == EPROTO);
  }
}

TEST_CASE("another version, an unknown type, wrong lengths and random bytes are refused",
          "[single]") {
  std::string stop = encode(Stop{});
  std::string other = stop;
  other[0] ^= 2;
  CHECK(errnum_of(other) == EPROTO);
  other = stop;
  other[4] = 100;
  CHECK(errnum_of(other) == EPROTO);
  std::string log = encode(LogLine{LogLine::Level::debug, "line"});
  for (size_t at = 8; at < 16; ++at) {  // the level, and the length of the text
    other = log;
    other[at] = static_cast<char>(0xff);
    CHECK(errnum_of(other) == EPROTO);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string wild = one_of_each()[random() % 8].substr(0, 8);
    wild.resize(8 + random() % 64);
    for (size_t at = 8; at < wild.size(); ++at) wild[at] = static_cast<char>(random());
    int errnum = errnum_of(wild);
    CHECK((errnum == 0 || errnum == EPROTO));
  }
}

TEST_CASE("a long text is cut, a parameter that is too long is refused") {
  auto done = std::get<Done>(decode(encode(Done{1, 1, 0, std::string(100'000, 'x')})));
  CHECK(done.text.size() == 4096);
  Start s = start();
  s.user = std::string(max_message, 'x');
  CHECK_THROWS_AS(encode(std::move(s)), util::Error);
}
