// SPDX-License-Identifier: BSD-3-Clause
//
// The helper process, and messages that it must not follow.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "common/util/fd.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"
#include "tests/unit/vsphere/transport/vddk/standin.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

TEST_CASE("the helper closes the disk and ends when it gets an invalid message") {
  StandinDirectory standin;
  auto ends = [&](const std::function<void(Channel &, int memory)> &act) {
    auto [ours, theirs] = Channel::make_pair();
    Process process(VDDK_TEST_HELPER, standin.path, theirs);
    theirs = util::Fd();
    Channel channel(std::move(ours));
    util::Fd memory = util::open_file(standin.path + "/memory", O_RDWR | O_CREAT);
    REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(4 * slot_size)) == 0);
    act(channel, memory.get());
    while (channel.receive(std::chrono::steady_clock::now() + 10min).has_value()) continue;
    std::string how = process.wait(10min);
    standin.check_orderly();
    return how;
  };
  auto open = [&](Channel &channel, int memory) {
    channel.send(start_of(standin), memory);
    while (!std::holds_alternative<Started>(
        channel.receive(std::chrono::steady_clock::now() + 10min).value())) {
      continue;
    }
  };
  CHECK(ends([&](Channel &c, int) { c.shut(); }) == "ended with status 0");
  CHECK(ends([&](Channel &c, int) { c.send(Stop{}); }) == "ended with status 1");
  CHECK(ends([&](Channel &c, int) { c.send(start_of(standin)); }) == "ended with status 1");
  for (const auto &bad : {Read{1, 4, 0, 1}, Read{1, 0, 0, 0}, Read{1, 0, 0, 4097},
                          Read{1, 0, 1u << 30, 1}, Read{1, 0, ~uint64_t{0}, 2}}) {
    CHECK(ends([&](Channel &c, int memory) {
            open(c, memory);
            c.send(bad);
          }) == "ended with status 1");
  }
  CHECK(ends([&](Channel &c, int memory) {
          open(c, memory);
          c.send(Query{1, 0, 0, uint64_t{1} << 60, 128});
        }) == "ended with status 1");
  CHECK(ends([&](Channel &c, int memory) {
          open(c, memory);
          c.send(Stop{});
        }) == "ended with status 0");
}
