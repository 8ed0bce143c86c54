// SPDX-License-Identifier: BSD-3-Clause
//
// When digests of the destination are complete (apply-digests=).
#include <filesystem>
#include <thread>

#include "common/digests/digest_file.hpp"
#include "common/durability/sync_point.hpp"
#include "tests/unit/apply/job/job_setup.hpp"

using namespace apply;

namespace {

struct DigestSetup : JobSetup {
  DigestSetup() {
    settings.digests_path = digests;
    start();
  }
  bool made() const { return std::filesystem::exists(digests); }
  bool right() const {
    auto file = digests::DigestFile::open(digests, "");
    if (!file || !file->header().complete || file->header().checkpoint != "c2") return false;
    digests::Digest digest;
    file->read(0, std::span(&digest, 1));
    return digest == digests::Hasher(file->header().key)(destination.now);
  }
  // Warnings, but for the one about the state that does not exist yet.
  std::vector<std::string> warnings() {
    std::lock_guard guard(log_lock);
    std::vector<std::string> list = lines;
    std::erase_if(list, [](const std::string &line) { return line.starts_with("apply-state="); });
    return list;
  }
  std::string digests = directory.file("digests");
};

}  // namespace

TEST_CASE("digests are complete when the state owes nothing, and not before") {
  DigestSetup s;
  auto client = s.join();
  s.copy(*client, {0, size});
  CHECK_FALSE(s.made());
  {
    durability::SyncPoint::Hold hold("apply.digests.before_complete");
    std::jthread end([&] { client->finish(); });
    hold.wait();
    CHECK(s.complete());
    CHECK_FALSE(s.made());
    hold.release();
  }
  CHECK(s.right());
  CHECK(s.warnings().empty());
}

TEST_CASE("a copy that is not complete has no digests; the next client completes both") {
  DigestSetup s;
  auto client = s.join();
  s.copy(*client, {5, 5});
  CHECK_THROWS_AS(client->finish(), util::Error);
  CHECK_FALSE(s.made());
  client = s.join();
  s.copy(*client, {0, size});
  client->finish();
  CHECK(s.right());
  // It writes once more: for so long there are none.
  client = s.join();
  s.copy(*client, {5, 5});
  CHECK_FALSE(s.made());
  client->finish();
  CHECK(s.right());
}

TEST_CASE("what cannot be flushed has no digests") {
  DigestSetup s;
  auto client = s.join();
  s.copy(*client, {0, size});
  s.destination.fail_flush = true;
  CHECK_THROWS_AS(client->finish(), Broken);
  CHECK_FALSE(s.made());
}

TEST_CASE("a client that only looks leaves no file") {
  DigestSetup s;
  s.join()->finish();
  CHECK_FALSE(s.made());
  CHECK_FALSE(std::filesystem::exists(s.digests + ".partial"));
}

TEST_CASE("a copy whose digests cannot be made is complete all the same") {
  DigestSetup s;
  auto client = s.join();
  s.copy(*client, {0, size});
  s.destination.fail_read = true;
  CHECK_NOTHROW(client->finish());
  CHECK(s.complete());
  CHECK_FALSE(s.made());
  REQUIRE(s.warnings().size() == 1);
  CHECK_THAT(s.warnings()[0], Catch::Contains("there are no digests of this copy"));
}

TEST_CASE("a destination that differs from the source has no digests") {
  JobSetup s;
  s.settings.verify = 1.0;
  s.settings.background = false;
  s.settings.digests_path = s.directory.file("digests");
  s.destination.now[0] = std::byte{9};
  s.start();
  auto client = s.join();
  s.copy(*client, {0, size});
  CHECK_THROWS_AS(client->finish(), util::Error);
  CHECK_FALSE(std::filesystem::exists(s.settings.digests_path));
}
