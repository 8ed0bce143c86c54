// SPDX-License-Identifier: BSD-3-Clause
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <deque>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>

#include "plugins/vsphere/api/fault_error.hpp"
#include "plugins/vsphere/snapshot/watch.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace vsphere;
using namespace std::chrono_literals;

namespace {

// What the server would say, and what is logged.
struct Server {
  enum class Answer { there, gone, none, login_refused };
  std::atomic<Answer> answer = Answer::there;
  std::atomic<int> asked = 0;
  std::counting_semaphore<> questions{0};
  std::atomic<int> errors = 0;

  util::Log log{[this](util::Level level, const std::string &) {
    if (level != util::Level::error) return;
    ++errors;
    errors.notify_all();
  }};
  SnapshotWatch watch{[this] { return ask(); }, "snapshot-1 of web1 is gone", log};

  bool ask() {
    ++asked;
    questions.release();
    switch (answer) {
      case Answer::none:
        util::fail(EIO, "the connection broke");
      case Answer::login_refused: {
        Fault fault;
        fault.kind = "InvalidLogin";
        throw FaultError(EACCES, "refused", fault);
      }
      default:
        return answer == Answer::there;
    }
  }
};

bool confirms(SnapshotWatch &watch) {
  try {
    watch.confirm();
    return true;
  } catch (const util::Error &) {
    return false;
  }
}

}  // namespace

TEST_CASE(
    "only the server's answer that the snapshot is not there counts, and it counts for ever") {
  Server server;
  server.watch.confirm();
  server.watch.check();
  server.answer = Server::Answer::none;
  CHECK_THROWS_WITH(server.watch.confirm(), "the connection broke");
  CHECK_NOTHROW(server.watch.check());
  server.answer = Server::Answer::gone;
  CHECK_NOTHROW(server.watch.check());
  CHECK_THROWS_AS(server.watch.confirm(), SnapshotGone);
  server.answer = Server::Answer::there;
  CHECK_THROWS_WITH(server.watch.check(), "snapshot-1 of web1 is gone");
  CHECK_THROWS_AS(server.watch.confirm(), SnapshotGone);
  CHECK(server.asked == 3);
  CHECK(server.errors == 1);
}

TEST_CASE("after a refused login the server is not asked again for a while") {
  Server server;
  server.answer = Server::Answer::login_refused;
  CHECK_THROWS_AS(server.watch.confirm(), FaultError);
  CHECK_THROWS_AS(server.watch.confirm(), FaultError);
  CHECK(server.asked == 1);
}

TEST_CASE("the watch asks by itself, and goes on when there was no answer") {
  Server server;
  server.answer = Server::Answer::none;
  server.watch.start(1ms);
  for (int i = 0; i < 3; ++i) server.questions.acquire();
  CHECK_NOTHROW(server.watch.check());
  server.answer = Server::Answer::gone;
  server.errors.wait(0);  // no question follows the one that is answered so
  CHECK_THROWS_AS(server.watch.check(), SnapshotGone);
  server.watch.stop();
  CHECK(server.errors == 1);
}

TEST_CASE("a suspicion is looked into at once, and stop() ends a pause at once") {
  Server server;
  server.watch.start(24h);
  server.watch.suspect();
  server.questions.acquire();
  server.watch.stop();
  CHECK(server.asked == 1);
}

TEST_CASE("stop() interrupts a question that is under way") {
  std::binary_semaphore asking{0}, interrupted{0};
  SnapshotWatch watch(
      [&]() -> bool {
        asking.release();
        interrupted.acquire();
        throw std::runtime_error("interrupted");
      },
      "gone", util::Log());
  watch.start(1ms);
  asking.acquire();
  watch.stop([&] { interrupted.release(); });
  CHECK_NOTHROW(watch.check());
  CHECK_THROWS_WITH(watch.confirm(), "nbdkit is ending");
}

TEST_CASE("after stop() no question of another thread is under way") {
  std::binary_semaphore asking{0}, answer{0};
  std::atomic<bool> under_way = false;
  SnapshotWatch watch(
      [&] {
        under_way = true;
        asking.release();
        answer.acquire();
        under_way = false;
        return true;
      },
      "gone", util::Log());
  std::jthread client([&] { confirms(watch); });
  asking.acquire();
  watch.stop([&] { answer.release(); });
  CHECK(!under_way);
}

// Who waits while the watch is stopped has no answer, and must not be told that the snapshot was there.
TEST_CASE("confirm() is not answered by stop()") {
  for (int i = 0; i < 50; ++i) {
    std::binary_semaphore asking{0}, answer{0};
    SnapshotWatch watch(
        [&] {
          asking.release();
          answer.acquire();
          return true;
        },
        "gone", util::Log());
    std::jthread first([&] { confirms(watch); });
    asking.acquire();
    std::atomic<bool> confirmed = false;
    {
      std::deque<testing::WaitingThread> others;
      for (int n = 0; n < 2; ++n) {
        others.emplace_back([&] {
          if (confirms(watch)) confirmed = true;
        });
      }
      for (auto &one : others) CHECK(one.waits());
      watch.stop([&] { answer.release(); });
    }
    CHECK_FALSE(confirmed);
  }
}

// A question that was under way when confirm() was called says nothing about what was read meanwhile.
TEST_CASE("confirm() does not take the answer to an older question") {
  std::binary_semaphore asking{0}, answer{0};
  std::atomic<int> asked = 0;
  SnapshotWatch watch(
      [&] {
        if (++asked > 1) return false;
        asking.release();
        answer.acquire();
        return true;
      },
      "gone", util::Log());
  std::jthread first([&] {
    try {
      watch.confirm();
    } catch (const SnapshotGone &) {  // the second answer came first
    }
  });
  asking.acquire();
  std::atomic<bool> refused = false;
  std::jthread second([&] {
    try {
      watch.confirm();
    } catch (const SnapshotGone &) {
      refused = true;
    }
  });
  answer.release();
  second.join();
  CHECK(refused);
  CHECK(asked == 2);
}
