// SPDX-License-Identifier: BSD-3-Clause
//
// Reads through the VDDK helper process, and what it tells about allocation.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/rounds.hpp"
#include "tests/unit/vsphere/transport/vddk/standin.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

TEST_CASE("reads of all sizes and offsets return the disk's data") {
  StandinDirectory standin;
  VddkDisk disk(options_for(standin), {});
  CHECK(disk.mode() == "nbdssl");
  for (size_t length : {size_t{1}, size_t{511}, size_t{512}, size_t{513}, slot_size - 1, slot_size,
                        slot_size + 1, 3 * slot_size + 77, standin.bytes.size() - 1500}) {
    for (uint64_t offset : {0, 1, 511, 512, 1000}) check_read(disk, standin, offset, length);
  }
  check_read(disk, standin, 0, standin.bytes.size());
  check_read(disk, standin, standin.bytes.size() - 1, 1);
  disk.disconnect();
  standin.check_orderly();
}

TEST_CASE("many threads share the slots with large and small reads") {
  StandinDirectory standin;
  VddkDisk disk(options_for(standin), {});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 12; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      for (unsigned round = 0; round < testing::rounds(12); ++round) {
        size_t length = 1 + random() % (i % 2 == 0 ? 9u << 20 : 100'000);
        uint64_t offset = random() % (standin.bytes.size() - length);
        std::string got(length, '\0');
        disk.read(std::as_writable_bytes(std::span(got)), offset);
        if (got != std::string_view(standin.bytes).substr(offset, length)) ++wrong;
      }
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(wrong == 0);
  disk.disconnect();
  standin.check_orderly();
}

TEST_CASE("allocated ranges are reported; if VDDK refuses to list them, none are") {
  StandinDirectory standin;
  VddkDisk disk(options_for(standin), {});
  auto all = disk.allocated();
  REQUIRE(all.has_value());
  CHECK(*all == std::vector<extents::Range>{{0, standin.bytes.size()}});
  standin.put("faults/QueryAllocatedBlocks", "0 1 error 3");
  CHECK(!disk.allocated().has_value());
  // After a crash the query is retried.
  standin.put("faults/QueryAllocatedBlocks", "0 1 leave");
  CHECK(disk.allocated().has_value());
  disk.disconnect();
  standin.check_orderly();
}
