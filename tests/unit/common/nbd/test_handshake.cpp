// SPDX-License-Identifier: BSD-3-Clause
//
// Servers that misbehave, as sockets of the test. tests/modules has the tests with a real server.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "common/nbd/connection.hpp"
#include "common/util/error.hpp"
#include "common/util/fd.hpp"

namespace {

// A socket that accepts connections and never answers.
class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    char directory[] = "/tmp/replicate-nbd-XXXXXX";
    REQUIRE(::mkdtemp(directory) != nullptr);
    directory_ = directory;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd_.get(), 16) == 0);
  }
  ~SilentServer() {
    ::unlink(path().c_str());
    ::rmdir(directory_.c_str());
  }
  std::string path() const { return directory_ + "/s"; }

 private:
  util::Fd fd_;
  std::string directory_;
};

}  // namespace

TEST_CASE(
    "a handshake without an answer fails at the deadline, and the message has the usual cause") {
  SilentServer server;
  nbd::Options options;
  options.uri = "nbd+unix:///?socket=" + server.path();
  options.name = "dr";
  // A deadline that passes before the handshake begins has another message.
  std::string what;
  for (int ms = 200; ms <= 200'000 && what.find("--shared") == std::string::npos; ms *= 10) {
    options.connect_timeout = std::chrono::milliseconds(ms);
    try {
      nbd::Connection connection(options);
      FAIL("connected");
    } catch (const util::Error &e) {
      CHECK(e.errnum() == ETIMEDOUT);
      what = e.what();
    }
  }
  CHECK_THAT(what, Catch::StartsWith("dr:") && Catch::Contains("--shared"));
}

TEST_CASE("who is interrupted before connecting is told so, though there is no server") {
  nbd::Options options;
  options.uri = "nbd+unix:///?socket=/nowhere/s";
  options.name = "dr";
  options.interrupt = [] { util::fail(EINTR, "interrupted"); };
  try {
    nbd::Connection connection(options);
    FAIL("connected");
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EINTR);
  }
}

TEST_CASE("a URI that libnbd cannot parse is not repeated with its user and password") {
  nbd::Options options;
  options.uri = "nbd://alice:s3cret@a host/";
  options.name = "dr";
  try {
    nbd::Connection connection(options);
    FAIL("connected");
  } catch (const util::Error &e) {
    CHECK_THAT(e.what(), Catch::StartsWith("dr: cannot connect") && Catch::Contains("parse") &&
                             !Catch::Contains("s3cret"));
  }
}
