// SPDX-License-Identifier: BSD-3-Clause
//
// Programs in the standin of the helper that do not follow the protocol.
#include <catch2/catch.hpp>
#include <cerrno>

#include "tests/unit/vsphere/transport/vddk/standin.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

namespace {

// The end of a program that has to be killed. No test waits for it: it is for what a test that fails leaves behind.
const std::string stays = "; exec sleep 30";

}  // namespace

TEST_CASE("a program that does not follow the protocol is an error that names what it did") {
  StandinDirectory standin;
  Deadlines deadlines;
  deadlines.start = 10min;
  auto with = [&](const std::string &program) {
    std::string what;
    CHECK(error_of([&] { Worker worker(program, start_of(standin), deadlines, {}); }, &what) != 0);
    return what;
  };
  CHECK(with("/nonexistent/helper").find("cannot start /nonexistent/helper") == 0);
  CHECK(with(standin.script("exit 7")).find("ended with status 7") != std::string::npos);
  CHECK(with(standin.script("kill -9 $$")).find("killed by signal 9") != std::string::npos);
  CHECK(with(standin.script("printf garbage >&3" + stays)).find("is cut short") !=
        std::string::npos);
  standin.put("message", encode(Read{1, 0, 0, 1}));
  CHECK(with(standin.script("cat " + standin.path + "/message >&3" + stays))
            .find("only the plugin may send") != std::string::npos);
}

TEST_CASE("a helper that answers a request that was not made is killed, and reads fail") {
  StandinDirectory standin;
  standin.put("started", encode(Started{1000, "nbd", false}));
  standin.put("done", encode(Done{12345, 0, 0, ""}));
  // A message is a packet, of which a byte is enough: the one that starts it, and the request.
  const std::string one = "head -c 1 <&3 > message";
  std::string helper = standin.script("cd " + standin.path + "; " + one + "; cat started >&3; " +
                                      one + "; cat done >&3" + stays);
  Worker worker(helper, start_of(standin), {}, {});
  CHECK(worker.sectors() == 1000);
  std::string what;
  CHECK(error_of(
            [&] {
              auto slot = worker.acquire(true);
              slot->read(0, 1);
              slot->wait();
            },
            &what) == EIO);
  CHECK(what.find("answers request 12345, which was not made") != std::string::npos);
  CHECK(worker.dead());
}
