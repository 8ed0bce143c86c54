// SPDX-License-Identifier: BSD-3-Clause
#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "plugins/vsphere/http/response.hpp"

using namespace vsphere;

namespace {

struct Ranged {
  std::array<std::byte, 8> buffer{};
  HttpRequest request;

  Ranged() {
    request.into = buffer;
    request.max_body = 10;
  }
  std::string text() const { return {reinterpret_cast<const char *>(buffer.data()), 8}; }
};

}  // namespace

TEST_CASE("the bytes of a range are written to the request's buffer, piece by piece") {
  Ranged ranged;
  ResponseReceiver receiver(ranged.request);
  receiver.on_header("HTTP/1.1 206 Partial Content\r\n");
  receiver.on_header("content-range:  bytes 0-7/64\r\n");
  CHECK(receiver.on_body(206, "abc") == 3);
  CHECK(receiver.on_body(206, "defgh") == 5);
  HttpResponse response = receiver.take(206);
  CHECK(ranged.text() == "abcdefgh");
  CHECK(response.received == 8);
  CHECK(response.content_range == "bytes 0-7/64");
  CHECK(response.body.empty());
  CHECK_FALSE(response.cut);
}

TEST_CASE("a body that is longer than the range is cut off") {
  Ranged ranged;
  ResponseReceiver receiver(ranged.request);
  CHECK(receiver.on_body(206, "abcdef") == 6);
  CHECK(receiver.on_body(206, "ghi") == 0);
  CHECK(receiver.take(206).cut);
  CHECK(ranged.text() == std::string("abcdef\0\0", 8));
}

TEST_CASE("an answer with the whole file instead of the range is not received") {
  Ranged ranged;
  ResponseReceiver receiver(ranged.request);
  CHECK(receiver.on_body(200, "a") == 0);
  CHECK(receiver.cut());
}

TEST_CASE("another body is kept up to max_body") {
  Ranged ranged;
  ResponseReceiver receiver(ranged.request);
  CHECK(receiver.on_body(500, "0123456789") == 10);
  CHECK(receiver.on_body(500, "x") == 0);
  CHECK(receiver.take(500).body == "0123456789");
}

TEST_CASE("the headers are those of the final answer") {
  HttpRequest request;
  ResponseReceiver receiver(request);
  for (const char *line : {"HTTP/1.1 100 Continue\r\n", "Set-Cookie: old=1\r\n", "\r\n",
                           "HTTP/1.1 200 OK\r\n", "SET-COOKIE: a=\"x y\"; Path=/; Secure\r\n",
                           "Set-Cookie: b=2\r\n", "Set-Cookies: c=3\r\n"}) {
    receiver.on_header(line);
  }
  CHECK(receiver.take(200).cookies == std::vector<std::string>{"a=\"x y\"", "b=2"});
}
