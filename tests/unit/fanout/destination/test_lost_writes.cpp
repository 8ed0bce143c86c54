// SPDX-License-Identifier: BSD-3-Clause
//
// A server that loses what it was given, and says so once: by the answer to whatever flushes first.
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "common/durability/sync_point.hpp"
#include "tests/unit/fanout/destination/helpers.hpp"
#include "tests/unit/fanout/rig.hpp"
#include "tests/unit/waiting_thread.hpp"

using namespace fanout;

namespace {

// So what is owed is not copied before it is looked at.
void copies_later(DestinationSettings &settings, size_t) {
  settings.policy.retry_delay = settings.policy.retry_max = std::chrono::minutes(10);
}

bool owes_both(Rig &rig) {
  return rig.state_of(0).find(fmt::format("behind, {} bytes behind", 2 * B)) != std::string::npos;
}

constexpr uint64_t here = 0, there = 16 * M;

// Two writes, and a flush that began between them.
struct Flushing {
  Flushing() {
    broadcaster = &rig.open();
    rig.write(here, B, byte(1));
    target.at_once = false;
    first = std::jthread([this] { broadcaster->flush([] {}); });
    Rig::until([&] { return target.held() == 1; });
    std::jthread writer([this] { rig.write(there, B, byte(2)); });
    Rig::until([&] { return target.held() == 2; });
    target.answer_last();
  }
  ~Flushing() {
    if (first.joinable()) first.join();
    target.release();
  }
  Rig rig{1, 20 * M, 100, copies_later};
  FakeTarget &target = rig.servers[0]->target;
  Broadcaster *broadcaster = nullptr;
  std::jthread first;
};

}  // namespace

TEST_CASE("lost: a flush that fails loses also what was written after it had begun") {
  Flushing f;
  f.target.answer_last(EIO);
  f.first.join();
  f.target.release();
  f.broadcaster->flush([] {});
  CHECK(owes_both(f.rig));
}

TEST_CASE("lost: a flush that succeeds while another fails counts for nothing") {
  Flushing f;
  testing::WaitingThread second([&] { f.broadcaster->flush([] {}); });
  Rig::until([&] { return f.target.held() == 2; });
  f.target.answer_last();
  CHECK(second.waits());
  f.target.answer_last(EIO);
  f.first.join();
  second.join();
  CHECK(owes_both(f.rig));
}

#ifdef REPLICATE_SYNC_POINTS
TEST_CASE("lost: a flush that follows one that failed counts for nothing before that is known") {
  Flushing f;
  durability::SyncPoint::Hold hold("fanout.flush_failed");
  f.target.answer_last(EIO);
  hold.wait();
  f.target.release();
  f.broadcaster->flush([] {});
  hold.release();
  f.first.join();
  CHECK(owes_both(f.rig));
}
#endif

TEST_CASE("lost: a request with FUA that fails loses what was written before") {
  for (bool native : {true, false}) {
    Rig rig(1, 20 * M, 100, copies_later);
    auto &target = rig.servers[0]->target;
    target.information.can_fua = native;
    rig.open();
    rig.write(here, B, byte(1));
    target.at_once = false;
    std::jthread writer([&] { rig.write(there, B, byte(2), true); });
    if (!native) {
      Rig::until([&] { return target.held() == 1; });
      target.answer_last();  // the write; its flush follows
    }
    Rig::until([&] { return target.held() == 1; });
    target.answer_last(EIO);
    writer.join();
    CHECK(owes_both(rig));
    target.release();
  }
}

TEST_CASE("lost: data with FUA is owed if a flush fails at the same time") {
  Flushing f;
  testing::WaitingThread writer([&] { f.rig.write(there, B, byte(3), true); });
  Rig::until([&] { return f.target.held() == 2; });
  f.target.answer_last();
  CHECK(writer.waits());
  f.target.answer_last(EIO);
  f.first.join();
  writer.join();
  CHECK(owes_both(f.rig));
}

TEST_CASE("lost: what is owed after a failed flush is copied, and durable then") {
  Rig rig(1, 20 * M);
  auto &target = rig.servers[0]->target;
  Broadcaster &broadcaster = rig.open();
  rig.write(here, B, byte(1));
  target.at_once = false;
  std::jthread client([&] { broadcaster.flush([] {}); });
  Rig::until([&] { return target.held() == 1; });
  std::memset(target.content.data(), 0, B);
  target.answer_last(EIO);
  client.join();
  target.release();
  rig.drain();
  CHECK(rig.equal(0));
}
