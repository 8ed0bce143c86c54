// SPDX-License-Identifier: BSD-3-Clause
#include <arpa/inet.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"
#include "plugins/vsphere/transport/vddk/certificate.hpp"

using namespace std::chrono_literals;

TEST_CASE("an interruption ends the wait for a certificate that does not come") {
  util::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  REQUIRE(::bind(listener.get(), generic, length) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), generic, &length) == 0);

  vsphere::Endpoint endpoint;
  endpoint.host = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  endpoint.connect_timeout = 60s;
  int calls = 0;
  endpoint.interrupt = [&calls] {
    if (++calls == 3) util::fail(EINTR, "told to end");
  };
  CHECK_THROWS_WITH(vsphere::vddk::certificate_sha1(endpoint), "told to end");
}
