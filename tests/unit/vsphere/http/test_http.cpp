// SPDX-License-Identifier: BSD-3-Clause
//
// Answers as they arrive, the URLs of hosts, connections shared by threads, and what is counted.
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "plugins/vsphere/counters.hpp"
#include "plugins/vsphere/http/pool.hpp"
#include "plugins/vsphere/http/response.hpp"
#include "plugins/vsphere/transport/https/esxi_host_file.hpp"

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

TEST_CASE("the bytes of a range go to where they are wanted, piece by piece") {
  Ranged ranged;
  HttpAnswer answer(ranged.request);
  answer.on_header("HTTP/1.1 206 Partial Content\r\n");
  answer.on_header("content-range:  bytes 0-7/64\r\n");
  CHECK(answer.on_body(206, "abc") == 3);
  CHECK(answer.on_body(206, "defgh") == 5);
  HttpResponse response = answer.take(206);
  CHECK(ranged.text() == "abcdefgh");
  CHECK(response.received == 8);
  CHECK(response.content_range == "bytes 0-7/64");
  CHECK(response.body.empty());
  CHECK_FALSE(response.cut);
}

TEST_CASE("more than was asked for is not taken") {
  Ranged ranged;
  HttpAnswer answer(ranged.request);
  CHECK(answer.on_body(206, "abcdef") == 6);
  CHECK(answer.on_body(206, "ghi") == 0);
  CHECK(answer.take(206).cut);
  CHECK(ranged.text() == std::string("abcdef\0\0", 8));
}

TEST_CASE("a whole disk in place of a range is not received") {
  Ranged ranged;
  HttpAnswer answer(ranged.request);
  CHECK(answer.on_body(200, "a") == 0);
  CHECK(answer.cut());
}

TEST_CASE("the text of an error is kept up to its limit") {
  Ranged ranged;
  HttpAnswer answer(ranged.request);
  CHECK(answer.on_body(500, "0123456789") == 10);
  CHECK(answer.on_body(500, "x") == 0);
  CHECK(answer.take(500).body == "0123456789");
}

TEST_CASE("headers are those of the last answer") {
  HttpRequest request;
  HttpAnswer answer(request);
  for (const char *line : {"HTTP/1.1 100 Continue\r\n", "Set-Cookie: old=1\r\n", "\r\n",
                           "HTTP/1.1 200 OK\r\n", "SET-COOKIE: a=\"x y\"; Path=/; Secure\r\n",
                           "Set-Cookie: b=2\r\n", "Set-Cookies: c=3\r\n"}) {
    answer.on_header(line);
  }
  CHECK(answer.take(200).cookies == std::vector<std::string>{"a=\"x y\"", "b=2"});
}

TEST_CASE("a host is asked without a datacenter, quoted once") {
  DatastorePath file{"My Folder/DC0", "store 1", "web 1/web#1-flat.vmdk", true};
  CHECK(host_url("esx:443", file) ==
        "https://esx:443/folder/web%201/web%231-flat.vmdk?dsName=store%201");
}

TEST_CASE("no more connections are in use than there are") {
  HttpPool pool({"nowhere.invalid", "", "", false}, 3);
  std::atomic<int> in_use = 0, most = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        HttpPool::Lease lease(pool);
        int now = ++in_use;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        if (i % 10 == 0) lease.http();
        std::this_thread::yield();
        --in_use;
      }
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(most <= 3);
  pool.disconnect();
}

TEST_CASE("what was read is counted, and what was not") {
  Counters counters;
  CHECK(counters.summary().empty());
  counters.count(100, [] {});
  counters.count(11, [] {});
  CHECK_THROWS_AS(counters.count(50, [] { util::fail(EIO, "no"); }), util::Error);
  counters.count_retry();
  CHECK_THAT(counters.summary(),
             Catch::Contains("read 111 bytes in 3 requests, 1 failed, 1 retries, "));
}
