// SPDX-License-Identifier: BSD-3-Clause
#include <catch2/catch.hpp>

#include "common/nbd/uri.hpp"

using nbd::absolute_uri;
using nbd::name_of_uri;

TEST_CASE("paths in a URI become absolute, and nothing else changes") {
  CHECK(absolute_uri("nbd://host:10809/a/b", "/dir") == "nbd://host:10809/a/b");
  CHECK(absolute_uri("nbd+unix:///x?socket=s.sock", "/dir") == "nbd+unix:///x?socket=/dir/s.sock");
  CHECK(absolute_uri("nbd+unix:///x?socket=/tmp/s", "/dir") == "nbd+unix:///x?socket=/tmp/s");
  CHECK(absolute_uri("nbd+unix:///x?socket=%2Ftmp/s", "/dir") == "nbd+unix:///x?socket=%2Ftmp/s");
  CHECK(absolute_uri("nbds+unix://u@/x?socket=s&tls-psk-file=k&tls-certificates=c&y", "/d") ==
        "nbds+unix://u@/x?socket=/d/s&tls-psk-file=/d/k&tls-certificates=/d/c&y");
  CHECK(absolute_uri("nbd+unix:///?socket=s", "/a b&c") == "nbd+unix:///?socket=/a%20b%26c/s");
  CHECK(absolute_uri("nbd+unix:///?socket=", "/dir") == "nbd+unix:///?socket=");
}

TEST_CASE("the name of a URI has no user and no query, but the socket") {
  CHECK(name_of_uri("nbds://alice:secret@host:1/x?tls-psk-file=/k") == "nbds://host:1/x");
  CHECK(name_of_uri("nbd://host/mail@home") == "nbd://host/mail@home");
  CHECK(name_of_uri("nbd://host") == "nbd://host");
  CHECK(name_of_uri("nbds+unix://alice@/x?tls-psk-file=/k&socket=/s") ==
        "nbds+unix:///x?socket=/s");
  CHECK(name_of_uri("nonsense") == "nonsense");
}

TEST_CASE("the parameters of a URI are those that libnbd reads") {
  using Parameters = std::vector<std::pair<std::string, std::string>>;
  CHECK(nbd::uri_parameters("nbds://h/x").empty());
  CHECK(nbd::uri_parameters("nbds://h/x?a=1&b%2Dc=%2Fd&e") ==
        Parameters{{"a", "1"}, {"b-c", "/d"}, {"e", ""}});
  CHECK(nbd::uri_parameters("nbds://h/?a=1;b=2&c=3") == Parameters{{"a", "1;b=2"}, {"c", "3"}});
  CHECK(nbd::uri_parameters("nbds://h/?a=1;b=2") == Parameters{{"a", "1"}, {"b", "2"}});
  CHECK(nbd::uri_parameters("nbds://h/#?a=1").empty());
}
