// SPDX-License-Identifier: BSD-3-Clause
//
// Requests that several threads make of one helper process, and its end while they wait.
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "plugins/vsphere/http/error.hpp"
#include "plugins/vsphere/transport/vddk/worker/request_table.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

TEST_CASE("an answer goes to the slot whose request it answers") {
  RequestTable table(2);
  const unsigned one = table.reserve(false).value(), two = table.reserve(false).value();
  CHECK(!table.reserve(false).has_value());
  const uint64_t first = table.begin(one), second = table.begin(two);
  table.answer({second, 13, 0, "two"});
  table.answer({first, 0, 7, "one"});
  CHECK(table.wait(one, 0ms).value().count == 7);
  CHECK(table.wait(two, 0ms).value().text == "two");
  table.release(two);
  CHECK(table.reserve(false) == two);
}

TEST_CASE("an answer to an older request of the slot is refused") {
  RequestTable table(1);
  const unsigned slot = table.reserve(false).value();
  const uint64_t old = table.begin(slot);
  table.answer({old, 0, 0, ""});
  table.begin(slot);
  CHECK_THROWS_WITH(table.answer({old, 0, 0, ""}), Catch::Contains("which was not made"));
  CHECK(!table.wait(slot, 1ms).has_value());
}

TEST_CASE("the end of the helper wakes all threads that wait, and the first reason is kept") {
  RequestTable table(1);
  const unsigned slot = table.reserve(false).value();
  table.begin(slot);
  auto message_of = [](auto &&call) {
    try {
      call();
      return std::string();
    } catch (const TransportError &e) {
      return std::string(e.what());
    }
  };
  std::string waited, reserved;
  std::thread one([&] { waited = message_of([&] { table.wait(slot, 60s); }); });
  std::thread two([&] { reserved = message_of([&] { table.reserve(true); }); });
  table.end("it crashed");
  table.end("later");
  one.join();
  two.join();
  CHECK(waited == "it crashed");
  CHECK(reserved == "it crashed");
  CHECK(table.closed());
  CHECK(table.wait_for_end(0ms));
  CHECK_THROWS_WITH(table.begin(slot), "it crashed");
}

TEST_CASE("a closed table finishes its requests and reserves no slots") {
  RequestTable table(2);
  const unsigned slot = table.reserve(false).value();
  const uint64_t id = table.begin(slot);
  table.close();
  CHECK_THROWS_AS(table.reserve(true), TransportError);
  CHECK(!table.ended());
  CHECK(!table.wait_for_end(1ms));
  table.answer({id, 0, 0, ""});
  CHECK(table.wait(slot, 0ms).has_value());
}
