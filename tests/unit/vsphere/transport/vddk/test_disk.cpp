// SPDX-License-Identifier: BSD-3-Clause
//
// The helper process, with the stand-in for VMware's library (tests/vddk/standin.cpp): what it does,
// and what comes of it when it hangs, dies, or talks nonsense.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "plugins/vsphere/transport/vddk/disk.hpp"

using namespace vsphere;
using namespace vsphere::vddk;
using namespace std::chrono_literals;

namespace {

// A directory for the stand-in with a disk of 12 MiB and a bit; gone at the end.
class Place {
 public:
  Place() {
    char name[] = "/tmp/replicate-vddk-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
    for (const char *directory : {"/access", "/faults"})
      REQUIRE(::mkdir((path + directory).c_str(), 0700) == 0);
    std::mt19937_64 random(1);
    bytes.resize((12 << 20) + 5120);
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
    put("disk", bytes);
    put("expect", "password=secret\n");
    REQUIRE(::setenv("VDDK_STANDIN", path.c_str(), 1) == 0);
  }
  ~Place() { std::filesystem::remove_all(path); }

  void put(const std::string &name, const std::string &content) const {
    std::ofstream(path + "/" + name, std::ios::binary) << content;
  }
  std::string get(const std::string &name) const {
    std::ifstream in(path + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // A program that is not our helper.
  std::string script(const std::string &commands) const {
    put("script", "#!/bin/sh\n" + commands + "\n");
    std::filesystem::permissions(path + "/script", std::filesystem::perms::owner_all);
    return path + "/script";
  }
  // Nothing to complain of, nothing left behind.
  void check_orderly() const {
    CHECK(get("log").find("VIOLATION") == std::string::npos);
    CHECK(std::filesystem::is_empty(path + "/access"));
  }

  std::string path;
  std::string bytes;
};

Start start_of(const Place &place) {
  Start s;
  s.library = VDDK_STANDIN;
  s.directory = place.path;
  s.server = "vc";
  s.user = "me";
  s.password = Secret(std::string("secret"));
  s.thumbprint = "AA";
  s.vm = "vm-1";
  s.snapshot = "snapshot-1";
  s.path = "[ds] a/a.vmdk";
  s.transports = "nbd";
  // A helper waits for an earlier one of the same identity, whoever has started that.
  s.identity = "unit test in " + place.path;
  s.slots = 4;
  return s;
}

DiskSettings settings_for(const Place &place, Deadlines deadlines = {}) {
  RetryPolicy retry;
  retry.delay = 10ms;
  return {VDDK_TEST_HELPER, [&place] { return start_of(place); }, place.bytes.size(), "disk", retry,
          deadlines};
}

int error_of(const std::function<void()> &f, std::string *what = nullptr) {
  try {
    f();
    return 0;
  } catch (const util::Error &e) {
    if (what != nullptr) *what = e.what();
    return e.errnum();
  }
}

void check_read(VddkDisk &disk, const Place &place, uint64_t offset, size_t length) {
  std::string got(length, '\0');
  disk.read(std::as_writable_bytes(std::span(got)), offset);
  CHECK(got == place.bytes.substr(offset, length));
}

}  // namespace

TEST_CASE("reads of all sizes and offsets, split at 2 MiB") {
  Place place;
  VddkDisk disk(settings_for(place), {});
  CHECK(disk.mode() == "nbdssl");
  for (size_t length : {size_t{1}, size_t{511}, size_t{512}, size_t{513}, slot_size - 1, slot_size,
                        slot_size + 1, 3 * slot_size + 77, place.bytes.size() - 1500}) {
    for (uint64_t offset : {0, 1, 511, 512, 1000}) check_read(disk, place, offset, length);
  }
  check_read(disk, place, 0, place.bytes.size());
  check_read(disk, place, place.bytes.size() - 1, 1);
  disk.disconnect();
  place.check_orderly();
}

TEST_CASE("many threads share the slots, large reads and small ones") {
  Place place;
  VddkDisk disk(settings_for(place), {});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 12; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      for (int round = 0; round < 12; ++round) {
        size_t length = 1 + random() % (i % 2 == 0 ? 9u << 20 : 100'000);
        uint64_t offset = random() % (place.bytes.size() - length);
        std::string got(length, '\0');
        disk.read(std::as_writable_bytes(std::span(got)), offset);
        if (got != place.bytes.substr(offset, length)) ++wrong;
      }
    });
  }
  for (auto &thread : threads) thread.join();
  CHECK(wrong == 0);
  disk.disconnect();
  place.check_orderly();
}

TEST_CASE("a helper that dies is started anew, also while many read") {
  Place place;
  VddkDisk disk(settings_for(place), {});
  for (const char *fault : {"ReadAsync", "ReadAsync.callback"}) {
    place.put(std::string("faults/") + fault, "5 1 leave");
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (unsigned i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        std::string got(5u << 20, '\0');
        disk.read(std::as_writable_bytes(std::span(got)), 1);
        if (got != place.bytes.substr(1, got.size())) ++wrong;
      });
    }
    for (auto &thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(place.get(std::string("faults/") + fault).substr(0, 3) == "0 0");
  }
  disk.disconnect();
  place.check_orderly();
}

TEST_CASE("a read that is never answered ends at its deadline, and the next helper answers it") {
  Place place;
  Deadlines deadlines;
  deadlines.request = 300ms;
  std::vector<std::string> lines;
  std::mutex mutex;
  util::Log log([&](util::Level, const std::string &line) {
    std::lock_guard lock(mutex);
    lines.push_back(line);
  });
  VddkDisk disk(settings_for(place, deadlines), log);
  place.put("faults/ReadAsync", "0 1 hang");
  check_read(disk, place, 0, 100'000);
  CHECK(std::count_if(lines.begin(), lines.end(), [](const std::string &line) {
          return line.find("did not answer within 300 ms, and its helper was killed; retry 1") !=
                 std::string::npos;
        }) == 1);
  CHECK(std::none_of(lines.begin(), lines.end(), [](const std::string &line) {
    return line.find("secret") != std::string::npos;
  }));
  disk.disconnect();
  place.check_orderly();
}

TEST_CASE("a helper that does not open, or does not close, is killed at the deadline") {
  Place place;
  Deadlines deadlines;
  deadlines.start = 300ms;
  deadlines.stop = 300ms;
  place.put("faults/ConnectEx", "0 1 hang");
  std::string what;
  CHECK(error_of([&] { VddkDisk disk(settings_for(place, deadlines), {}); }, &what) == ETIMEDOUT);
  CHECK(what.find("VDDK did not open") != std::string::npos);

  deadlines.start = 60s;
  auto disk = std::make_unique<VddkDisk>(settings_for(place, deadlines), util::Log());
  place.put("faults/Close", "0 1 hang");
  auto begin = std::chrono::steady_clock::now();
  disk->disconnect();
  CHECK(std::chrono::steady_clock::now() - begin < 20s);
  CHECK(!std::filesystem::is_empty(place.path + "/access"));
  // The next one ends the access that those two have left.
  disk = std::make_unique<VddkDisk>(settings_for(place), util::Log());
  disk.reset();
  place.check_orderly();
}

TEST_CASE("what is allocated comes from the holes; without an answer nothing is said") {
  Place place;
  VddkDisk disk(settings_for(place), {});
  auto all = disk.allocated();
  REQUIRE(all.has_value());
  CHECK(*all == std::vector<extents::Range>{{0, place.bytes.size()}});
  place.put("faults/QueryAllocatedBlocks", "0 1 error 3");
  CHECK(!disk.allocated().has_value());
  // A crash is no answer, but worth another try.
  place.put("faults/QueryAllocatedBlocks", "0 1 leave");
  CHECK(disk.allocated().has_value());
  disk.disconnect();
  place.check_orderly();
}

TEST_CASE("programs that are no helper are told apart") {
  Place place;
  Deadlines deadlines;
  deadlines.start = 20s;
  auto with = [&](const std::string &program) {
    std::string what;
    CHECK(error_of([&] { Worker worker(program, start_of(place), deadlines, {}); }, &what) != 0);
    return what;
  };
  CHECK(with("/nonexistent/helper").find("cannot start /nonexistent/helper") == 0);
  CHECK(with(place.script("exit 7")).find("ended with status 7") != std::string::npos);
  CHECK(with(place.script("kill -9 $$")).find("killed by signal 9") != std::string::npos);
  CHECK(with(place.script("printf garbage >&3; sleep 30")).find("is cut short") !=
        std::string::npos);
  place.put("message", encode(Read{1, 0, 0, 1}));
  CHECK(with(place.script("cat " + place.path + "/message >&3; sleep 30")).find("not its own") !=
        std::string::npos);
}

TEST_CASE("a helper that answers what was not asked is killed, and the reads fail") {
  Place place;
  place.put("started", encode(Started{1000, "nbd", false}));
  place.put("done", encode(Done{12345, 0, 0, ""}));
  std::string helper =
      place.script("cd " + place.path + "; cat started >&3; sleep 0.3; cat done >&3; sleep 30");
  Worker worker(helper, start_of(place), {}, {});
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

TEST_CASE("the helper does not follow nonsense: it closes the disk and ends") {
  Place place;
  auto ends = [&](const std::function<void(Channel &, int memory)> &act) {
    auto [ours, theirs] = Channel::make_pair();
    Process process(VDDK_TEST_HELPER, place.path, theirs);
    theirs = util::Fd();
    Channel channel(std::move(ours));
    util::Fd memory = util::open_file(place.path + "/memory", O_RDWR | O_CREAT);
    REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(4 * slot_size)) == 0);
    act(channel, memory.get());
    while (channel.receive(std::chrono::steady_clock::now() + 20s).has_value()) continue;
    std::string how = process.wait(20s);
    place.check_orderly();
    return how;
  };
  auto open = [&](Channel &channel, int memory) {
    channel.send(start_of(place), memory);
    while (!std::holds_alternative<Started>(
        channel.receive(std::chrono::steady_clock::now() + 20s).value())) {
      continue;
    }
  };
  CHECK(ends([&](Channel &c, int) { c.shut(); }) == "ended with status 0");
  CHECK(ends([&](Channel &c, int) { c.send(Stop{}); }) == "ended with status 1");
  CHECK(ends([&](Channel &c, int) { c.send(start_of(place)); }) == "ended with status 1");
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
