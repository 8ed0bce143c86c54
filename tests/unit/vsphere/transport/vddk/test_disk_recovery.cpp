// SPDX-License-Identifier: BSD-3-Clause
//
// Helper processes that die, hang, or do not open or close the disk.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/vsphere/transport/vddk/standin.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

TEST_CASE("a helper that dies is started again, also while many threads read") {
  StandinDirectory standin;
  VddkDisk disk(options_for(standin), {});
  for (const char *fault : {"ReadAsync", "ReadAsync.callback"}) {
    standin.put(std::string("faults/") + fault, "5 1 leave");
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (unsigned i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        std::string got(5u << 20, '\0');
        disk.read(std::as_writable_bytes(std::span(got)), 1);
        if (got != std::string_view(standin.bytes).substr(1, got.size())) ++wrong;
      });
    }
    for (auto &thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(standin.get(std::string("faults/") + fault).substr(0, 3) == "0 0");
  }
  disk.disconnect();
  standin.check_orderly();
}

TEST_CASE("a read that is not answered by the deadline is retried with a new helper") {
  StandinDirectory standin;
  Deadlines deadlines;
  deadlines.request = 5s;  // which the reads that are answered must not reach
  std::vector<std::string> lines;
  std::mutex mutex;
  util::Log log([&](util::Level, const std::string &line) {
    std::lock_guard lock(mutex);
    lines.push_back(line);
  });
  VddkDisk disk(options_for(standin, deadlines), log);
  standin.put("faults/ReadAsync", "0 1 hang");
  check_read(disk, standin, 0, 100'000);
  CHECK(std::count_if(lines.begin(), lines.end(), [](const std::string &line) {
          return line.find("did not answer within 5000 ms, and its helper was killed; retry 1") !=
                 std::string::npos;
        }) == 1);
  CHECK(std::none_of(lines.begin(), lines.end(), [](const std::string &line) {
    return line.find("secret") != std::string::npos;
  }));
  disk.disconnect();
  standin.check_orderly();
}

TEST_CASE("a helper that does not open, or does not close, is killed at the deadline") {
  StandinDirectory standin;
  Deadlines deadlines;
  deadlines.start = 300ms;
  deadlines.stop = 300ms;
  standin.put("faults/ConnectEx", "0 1 hang");
  std::string what;
  CHECK(error_of([&] { VddkDisk disk(options_for(standin, deadlines), {}); }, &what) == ETIMEDOUT);
  CHECK(what.find("VDDK did not open") != std::string::npos);
  // It may have been killed before it came to that call.
  std::filesystem::remove(standin.path + "/faults/ConnectEx");

  deadlines.start = 10min;
  auto disk = std::make_unique<VddkDisk>(options_for(standin, deadlines), util::Log());
  standin.put("faults/Close", "0 1 hang");
  auto begin = std::chrono::steady_clock::now();
  disk->disconnect();
  CHECK(std::chrono::steady_clock::now() - begin < 5min);
  std::filesystem::remove(standin.path + "/faults/Close");
  CHECK(!std::filesystem::is_empty(standin.path + "/access"));
  // The next one ends the access that those two have left behind.
  disk = std::make_unique<VddkDisk>(options_for(standin), util::Log());
  disk.reset();
  standin.check_orderly();
}
