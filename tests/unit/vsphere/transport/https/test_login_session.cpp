// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/util/error.hpp"
#include "plugins/vsphere/transport/https/login_session.hpp"

using namespace vsphere;

namespace {

// Nobody listens there: a login that is tried fails with another error.
Endpoint nowhere() {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1:1";
  return endpoint;
}

int error_of_send(LoginSession &login) {
  HttpConnection http(nowhere());
  HttpRequest request;
  request.path = "/folder/x";
  try {
    login.send(http, request);
  } catch (const util::Error &e) {
    return e.errnum();
  }
  return 0;
}

}  // namespace

TEST_CASE("after the end of a session no read begins another one") {
  const Credentials credentials{"backup", Secret("")};
  LoginSession login("vc", credentials, util::Log());
  CHECK(error_of_send(login) != ESHUTDOWN);
  CHECK(login.replace_session("", "session=1"));
  CHECK(login.session() == "session=1");
  CHECK(login.end() == "session=1");
  CHECK(error_of_send(login) == ESHUTDOWN);
  CHECK_THROWS_AS(login.session(), util::Error);
  CHECK_FALSE(login.replace_session("", "session=2"));
  CHECK(login.end().empty());
}
