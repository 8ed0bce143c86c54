// SPDX-License-Identifier: BSD-3-Clause
//
// The state file cannot be saved: its directory is away, or full.
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;
using extents::Range;
using Ranges = std::vector<Range>;

namespace {

constexpr const char *again = "may count as not copied; run the same command again";
constexpr const char *untrue = "it may say that bytes are there that are not";

// No file of this process can be written to: EFBIG. (A new one can be created.)
struct Full {
  Full() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit none{0, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~Full() { ::setrlimit(RLIMIT_FSIZE, &before); }
  rlimit before{};
};

struct UnsavedSetup : JobSetup {
  UnsavedSetup() {
    std::filesystem::create_directory(folder);
    settings.state_path = path = folder + "/state";
  }
  void begin() {
    start();
    lines.clear();  // that there is no state yet
  }
  void break_it(bool is_full) {
    if (is_full) {
      full = std::make_unique<Full>();
    } else {
      std::filesystem::rename(folder, folder + ".away");
    }
  }
  void mend() {
    if (!std::exchange(full, nullptr)) std::filesystem::rename(folder + ".away", folder);
  }
  // The same command again.
  void run_again() {
    job.reset();
    start();
    auto client = join();
    copy(*client, {0, size});
    client->finish();
    CHECK(complete());
    CHECK(destination.durable == disk.bytes);
    size_t files = 0;
    for ([[maybe_unused]] const auto &f : std::filesystem::directory_iterator(folder)) ++files;
    CHECK(files == 2);  // the state and its lock: nothing is left of those that were not finished
  }
  int error_of(const std::function<void()> &f) {
    try {
      f();
    } catch (const util::Error &e) {
      said = e.what();
      return e.errnum();
    }
    return 0;
  }
  std::string folder = directory.file("s");
  std::unique_ptr<Full> full;
  std::string said;
};

}  // namespace

TEST_CASE("a flush is answered while the state cannot be saved, and it says what that means") {
  for (bool full : {false, true}) {
    UnsavedSetup s;
    s.begin();
    auto client = s.join();
    s.copy(*client, {0, size});
    s.break_it(full);
    ++s.ticks;
    client->flush();
    CHECK(s.destination.durable == s.disk.bytes);
    REQUIRE(s.lines.size() == 1);
    CHECK_THAT(s.lines[0], Catch::Contains(again) && Catch::Contains(s.path));
    // The client has done all it could; the run is no success.
    CHECK(s.error_of([&] { client->finish(); }) == (full ? EFBIG : ENOENT));
    CHECK_THAT(s.said, Catch::Contains(again) && Catch::Contains(s.path));
    CHECK(s.lines.size() == 1);
    s.mend();
    CHECK(s.owed() == Ranges{{5, 21}, {30, 11}, {60, 4}});
    client.reset();
    s.run_again();
  }
}

TEST_CASE("nothing is changed that the file says is there, or before it was written") {
  for (bool full : {false, true}) {
    UnsavedSetup s;
    s.begin();
    auto client = s.join();
    s.break_it(full);
    CHECK(s.error_of([&] { s.copy(*client, {0, size}); }) == (full ? EFBIG : ENOENT));
    CHECK(s.error_of([&] { client->zero({0, size}, {}); }) == (full ? EFBIG : ENOENT));
    CHECK(s.destination.now == Content(size, old_byte));
    s.mend();
    s.copy(*client, {0, size});
    client->finish();
    CHECK(s.complete());
    s.break_it(full);
    client = s.join();
    CHECK(s.error_of([&] { client->zero({5, 21}, {}); }) == (full ? EFBIG : ENOENT));
    CHECK(s.destination.now == s.disk.bytes);
    s.mend();
    client.reset();
    s.run_again();
  }
}

TEST_CASE("while the file may say that a byte is there that is not, no flush is answered") {
  for (bool full : {false, true}) {
    UnsavedSetup s;
    s.begin();
    auto client = s.join();
    s.copy(*client, {0, size});
    client->finish();
    CHECK(s.complete());
    client = s.join();
    s.break_it(full);
    s.destination.fail_in = 0;
    CHECK_THROWS_AS(s.copy(*client, {5, 10}), Broken);
    CHECK_FALSE(s.destination.now == s.disk.bytes);
    REQUIRE(s.lines.size() == 1);
    CHECK_THAT(s.lines[0], Catch::Contains("10 bytes at offset 5 are not there") &&
                               Catch::Contains("flushes fail until") &&
                               Catch::Contains("apply-state=" + s.path));
    for (int i = 0; i < 2; ++i) {  // however often it is asked, and although no second has passed
      CHECK(s.error_of([&] { client->flush(); }) == (full ? EFBIG : ENOENT));
      CHECK_THAT(s.said, Catch::Contains(untrue) && !Catch::Contains(again));
    }
    // It is saved as soon as it can be.
    s.mend();
    client->flush();
    CHECK(s.owed() == Ranges{{5, 10}});
    s.copy(*client, {5, 5});
    client->flush();  // now once a second again
    CHECK(s.owed() == Ranges{{5, 10}});
    CHECK_THROWS_WITH(client->finish(), Catch::Contains("5 bytes are still owed"));
    CHECK(s.owed() == Ranges{{10, 5}});
    client.reset();
    s.run_again();
  }
}

TEST_CASE("the end says it too, of a file that may say that a byte is there that is not") {
  UnsavedSetup s;
  s.begin();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  client = s.join();
  s.break_it(false);
  s.destination.fail_in = 0;
  CHECK_THROWS_AS(s.copy(*client, {5, 10}), Broken);
  CHECK(s.error_of([&] { client->finish(); }) == ENOENT);
  CHECK_THAT(s.said,
             Catch::Contains(untrue) && Catch::Contains("remove it to start with a full copy"));
  s.mend();
  // A client that sends nothing is enough for another attempt.
  s.join()->flush();
  CHECK(s.owed() == Ranges{{5, 10}});
  client.reset();
  s.run_again();
}

TEST_CASE("what else has failed at the end is said, not only that the state cannot be saved") {
  UnsavedSetup s;
  s.begin();
  auto client = s.join();
  s.copy(*client, {5, 15});
  s.disk.gone = true;
  s.break_it(false);
  CHECK_THROWS_WITH(client->finish(), Catch::Contains(again));
  REQUIRE(s.lines.size() == 1);
  CHECK_THAT(s.lines[0], Catch::Contains("the source is gone"));
  s.mend();
  s.disk.gone = false;
  client.reset();
  s.run_again();
}

TEST_CASE("a difference while the state cannot be saved: the file has to be removed") {
  UnsavedSetup s;
  s.settings.verify = 1;
  s.settings.background = false;
  s.disk.bytes[0] = new_byte;
  s.begin();
  auto client = s.join();
  s.copy(*client, {0, size});
  client->flush();
  ++s.ticks;
  client->flush();
  CHECK(s.complete());
  // The comparison begins after the last save.
  s.disk.on_honest = [&] { s.break_it(false); };
  CHECK_THROWS_WITH(client->finish(), Catch::Contains("differs from the source at offset 0") &&
                                          Catch::Contains("the state cannot say that") &&
                                          Catch::Contains("remove it") &&
                                          !Catch::Contains("the state now says"));
  s.mend();
}
