// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "common/nbd/batch.hpp"
#include "common/nbd/connection.hpp"
#include "common/util/error.hpp"
#include "tests/unit/common/nbd/small_server.hpp"

using namespace std::chrono_literals;
using Reply = SmallServer::Reply;

namespace {

constexpr uint16_t write_command = 1;

nbd::Options options(const SmallServer &server) {
  nbd::Options o;
  o.uri = server.uri();
  o.name = "dr";
  o.connect_timeout = o.request_timeout = o.leave_timeout = 10min;
  return o;
}

// A request that calls a function and destroys itself when it is completed.
class Request final : public nbd::Command {
 public:
  static void write(nbd::Connection &c, std::function<void(int)> done);
  static void flush(nbd::Connection &c, std::function<void(int)> done) {
    c.submit(*new Request(nbd::Operation::flush, std::move(done)));
  }

 private:
  Request(nbd::Operation o, std::function<void(int)> done) : done_(std::move(done)) {
    operation = o;
  }
  void completed(int errnum) override {
    std::unique_ptr<Request> self(this);
    done_(errnum);
  }
  std::function<void(int)> done_;
};

const std::vector<std::byte> payload(4096);

void Request::write(nbd::Connection &c, std::function<void(int)> done) {
  auto *request = new Request(nbd::Operation::write, std::move(done));
  request->data = payload.data();
  request->count = payload.size();
  c.submit(*request);
}

int flush(nbd::Connection &c) {
  nbd::Batch batch;
  batch.flush(c);
  return batch.wait();
}

int write(nbd::Connection &c) {
  nbd::Batch batch;
  batch.write(c, payload, 0, 0);
  return batch.wait();
}

}  // namespace

TEST_CASE("requests are answered, and a connection ends with NBD_CMD_DISC") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  {
    nbd::Connection c(options(server));
    CHECK(c.info().size == 1u << 20);
    CHECK(c.info().can_flush);
    CHECK(!c.info().can_fua);
    CHECK(write(c) == 0);
    CHECK(flush(c) == 0);
    CHECK(c.in_flight() == 0);
  }
  for (int i = 0; i < 60000 && server.polite_ends() == 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(server.polite_ends() == 1);
}

TEST_CASE("a handshake that is interrupted is finished, so that the server sees a polite end") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  nbd::Options o = options(server);
  int calls = 0;
  o.interrupt = [&] {
    if (++calls == 2) throw util::Error(EINTR, "interrupted");  // the first one is before it
  };
  CHECK_THROWS_WITH(nbd::Connection(o), "interrupted");
  for (int i = 0; i < 60000 && server.polite_ends() == 0; ++i) std::this_thread::sleep_for(10ms);
  CHECK(server.polite_ends() == 1);
}

TEST_CASE("a request without an answer fails at its deadline although others are answered") {
  // With a longer deadline if the machine does not answer others before it.
  int answered = 0;
  for (std::chrono::milliseconds deadline = 300ms; answered <= 10; deadline *= 4) {
    REQUIRE(deadline < 10min);
    SmallServer server(
        [](const SmallRequest &r) { return r.type == write_command ? Reply::never : Reply::ok; });
    nbd::Options o = options(server);
    o.request_timeout = deadline;
    nbd::Connection c(o);
    std::atomic<bool> over = false;
    std::atomic<int> result = -1;
    auto begin = std::chrono::steady_clock::now();
    Request::write(c, [&](int errnum) {
      result = errnum;
      over = true;
    });
    answered = 0;
    while (!over) answered += flush(c) == 0 ? 1 : 0;
    CHECK(result == ETIMEDOUT);
    CHECK(std::chrono::steady_clock::now() - begin >= deadline);
    CHECK(c.dead());
    CHECK(flush(c) == ENOTCONN);
  }
}

TEST_CASE("a lost connection is ENOTCONN for requests in flight and later ones") {
  SmallServer server([](const SmallRequest &r) {
    return r.type == write_command ? Reply::never : Reply::hang_up;
  });
  nbd::Connection c(options(server));
  std::atomic<int> result = -1;
  Request::write(c, [&](int errnum) { result = errnum; });
  CHECK(flush(c) == ENOTCONN);
  for (int i = 0; i < 60000 && result == -1; ++i) std::this_thread::sleep_for(10ms);
  CHECK(result == ENOTCONN);
  for (int i = 0; i < 20; ++i) CHECK(flush(c) == ENOTCONN);
  CHECK(c.dead());
  CHECK(c.in_flight() == 0);
}

TEST_CASE("requests in flight are completed before a connection is destroyed") {
  SmallServer server([](const SmallRequest &) { return Reply::never; });
  std::vector<int> results;
  {
    nbd::Connection c(options(server));
    for (int i = 0; i < 10; ++i) Request::write(c, [&](int errnum) { results.push_back(errnum); });
  }
  CHECK(results == std::vector<int>(10, ENOTCONN));
}

TEST_CASE("each request completes once, submitted by many threads and by completions") {
  SmallServer server([](const SmallRequest &) { return Reply::ok; });
  nbd::Connection c(options(server));
  std::atomic<int> completed = 0;
  constexpr int threads = 4;
  constexpr int each = 300;
  {
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          Request::write(c, [&](int errnum) {
            completed += errnum == 0 ? 1 : 0;
            Request::flush(c, [&](int e) { completed += e == 0 ? 1 : 0; });
          });
        }
      });
    }
  }
  for (int i = 0; i < 60000 && completed < 2 * threads * each; ++i)
    std::this_thread::sleep_for(10ms);
  CHECK(completed == 2 * threads * each);
  CHECK(c.in_flight() == 0);
}

TEST_CASE("each request completes once while the server hangs up") {
  std::atomic<int> seen = 0;
  SmallServer server(
      [&](const SmallRequest &) { return ++seen > 200 ? Reply::hang_up : Reply::ok; });
  std::atomic<int> completed = 0;
  std::atomic<int> wrong = 0;
  constexpr int threads = 4;
  constexpr int each = 200;
  {
    nbd::Connection c(options(server));
    std::vector<std::jthread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          Request::write(c, [&](int errnum) {
            if (errnum != 0 && errnum != ENOTCONN) ++wrong;
            ++completed;
          });
        }
      });
    }
  }
  CHECK(completed == threads * each);
  CHECK(wrong == 0);
}
