// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>
#include <condition_variable>
#include <thread>

#include "filters/apply/verify/verify_schedule.hpp"
#include "filters/apply/verify/block_comparer.hpp"
#include "tests/unit/apply/fakes.hpp"

using namespace apply;
using extents::Range;

namespace {

constexpr uint64_t K = 1024, block = Verifier::block;
using End = Verifier::End;

// A disk in memory; says what was read.
struct Memory : Bytes {
  explicit Memory(uint64_t size, std::byte value = std::byte{7}) : content(size, value) {}
  void read(std::span<const Read> list) override {
    if (gone) util::fail(ENOTCONN, "gone");
    for (const Read &r : list) {
      longest = std::max(longest, r.buffer.size());
      bytes += r.buffer.size();
      std::copy_n(content.begin() + static_cast<ptrdiff_t>(r.offset), r.buffer.size(),
                  r.buffer.begin());
    }
  }
  Content content;
  size_t bytes = 0, longest = 0;
  bool gone = false;
};

bool never() {
  return false;
}

// So many blocks, none of them in the delta.
Mask outside(uint64_t blocks) {
  Mask mask;
  mask.append(blocks * block, extents::hole | extents::zero);
  return mask;
}

}  // namespace

TEST_CASE("a percentage") {
  CHECK(util::parse_percent("apply-verify", "100") == 1);
  CHECK(util::parse_percent("apply-verify", "5%") == Approx(0.05));
  CHECK(util::parse_percent("apply-verify", "0.01") == Approx(0.0001));
  for (const char *bad : {"", "0", "-1", "101", "x", "5x", "%", "nan", "inf", "5%%"}) {
    INFO(bad);
    CHECK_THROWS_WITH(util::parse_percent("apply-verify", bad), Catch::Contains("apply-verify="));
  }
}

TEST_CASE("100 percent: every byte outside the delta is compared, and no other") {
  Mask mask;
  mask.append(100 * K + 5, extents::hole | extents::zero);
  mask.append(500 * K, extents::data);
  mask.append(3000 * K, extents::hole | extents::zero);
  mask.append(77, extents::zero);
  mask.append(5001, extents::hole | extents::zero);
  for (uint64_t at = 0; at < mask.size(); at += at % 7 == 0 ? 9973 : 130001) {
    Memory source(mask.size()), destination(mask.size());
    destination.content[at] = std::byte{8};
    Verifier verifier(mask, 1, 1);
    auto result = verifier.advance(source, destination, never);
    bool in_delta = mask.at(at).kind != Kind::outside;
    INFO(at);
    REQUIRE((result.end == End::finished) == in_delta);
    if (!in_delta) REQUIRE(result.offset == at);
    if (in_delta) REQUIRE(verifier.compared_bytes() == mask.size() - mask.delta_bytes());
    REQUIRE(source.longest <= 1024 * K);
    REQUIRE(source.bytes < mask.size() - 300 * K);  // what is well inside the delta is not read
  }
}

// The manual's promise: k blocks that differ are found with the probability 1-(1-p)^k.
TEST_CASE("a lower percentage finds what differs as often as the manual says") {
  constexpr uint64_t blocks = 300;
  constexpr int seeds = 3000;
  Mask mask = outside(blocks);
  struct Row {
    double share;
    int wrong;
  };
  for (auto [share, wrong] :
       {Row{0.01, 1}, Row{0.01, 50}, Row{0.1, 1}, Row{0.1, 10}, Row{0.5, 3}}) {
    int found = 0;
    uint64_t chosen_in_all = 0;
    for (int seed = 0; seed < seeds; ++seed) {
      std::mt19937_64 random(static_cast<uint64_t>(seed) + 1'000'000);
      std::vector<bool> differs(blocks);
      for (int left = wrong; left > 0;) {
        auto b = random() % blocks;
        if (!differs[b]) --left;
        differs[b] = true;
      }
      util::Choice choice(share, static_cast<uint64_t>(seed));
      bool hit = false;
      for (uint64_t b = choice.next(0); b < blocks; b = choice.next(b + 1)) {
        hit = hit || differs[b];
        ++chosen_in_all;
      }
      found += hit ? 1 : 0;
    }
    double expected = 1 - std::pow(1 - share, wrong);
    double deviation = std::sqrt(expected * (1 - expected) / seeds);
    INFO(share << " of the blocks, " << wrong << " wrong");
    CHECK(found / double{seeds} == Approx(expected).margin(5 * deviation));
    CHECK(static_cast<double>(chosen_in_all) / seeds == Approx(share * blocks).epsilon(0.1));
  }
}

TEST_CASE("the verifier looks at what was chosen, whatever is in the delta", "[single]") {
  // Every third block is in the delta, and one more is so in part.
  constexpr uint64_t blocks = 60;
  Mask mask;
  for (uint64_t i = 0; i < blocks; ++i) {
    mask.append(block, i % 3 == 0 ? extents::data : extents::hole | extents::zero);
  }
  int found = 0;
  constexpr int seeds = 600;
  for (int seed = 0; seed < seeds; ++seed) {
    Memory source(mask.size()), destination(mask.size());
    for (uint64_t b : {1, 20, 40, 59}) destination.content[b * block + 5] = std::byte{0};
    Verifier verifier(mask, 0.2, static_cast<uint64_t>(seed));
    found += verifier.advance(source, destination, never).end == End::differs ? 1 : 0;
  }
  double expected = 1 - std::pow(0.8, 4);
  CHECK(found / double{seeds} ==
        Approx(expected).margin(5 * std::sqrt(expected * (1 - expected) / seeds)));
}

TEST_CASE("it goes on where it stopped, also after a failure") {
  Mask mask = outside(200);
  Memory source(mask.size()), destination(mask.size());
  Verifier verifier(mask, 1, 1);
  int steps = 0;
  CHECK(verifier.advance(source, destination, [&] { return ++steps > 1; }).end == End::interrupted);
  auto first = verifier.compared_bytes();
  CHECK(first == (4u << 20));
  source.gone = true;
  CHECK_THROWS_WITH(verifier.advance(source, destination, never), "gone");
  CHECK(verifier.compared_bytes() == first);
  source.gone = false;
  source.bytes = 0;
  CHECK(verifier.advance(source, destination, never).end == End::finished);
  CHECK(source.bytes == mask.size() - first);
  CHECK(verifier.compared_blocks() == 200);
  CHECK(verifier.finished());
  Verifier nothing(mask, 1e-12, 1);
  CHECK(nothing.advance(source, destination, never).end == End::finished);
  CHECK(nothing.compared_bytes() == 0);
}

TEST_CASE("a destination that wants whole blocks is read in such") {
  FakeDisk disk{extents::ExtentMap(200 * K + 100, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(204 * K + 4096));
  destination.block = 4096;
  Mask mask(disk.map);
  uint64_t differs = 0;
  Auditor auditor(mask, 1, 1,
                  {[&] {
                     return fake.honest({Mask(disk.map), ""});
                   },
                   [&](uint64_t offset) { differs = offset; }},
                  {});
  disk.bytes.back() = std::byte{1};
  auditor.advance(destination, never);
  CHECK(differs == 200 * K + 99);
}

TEST_CASE(
    "beside clients: one thread, which ends when its client does, and the rest is done later") {
  FakeDisk disk{extents::ExtentMap(64 << 20, 3)};
  FakeSource fake(disk);
  FakeDestination destination(Content(64 << 20));
  Mask mask(disk.map);
  std::atomic<int> differs = 0;
  Auditor auditor(mask, 1, 1,
                  {[&] {
                     return fake.honest({Mask(disk.map), ""});
                   },
                   [&](uint64_t) { ++differs; }},
                  {});
  {
    auto first = auditor.beside(destination);
    CHECK(first);
    CHECK_FALSE(auditor.beside(destination));
  }
  CHECK(auditor.compared_bytes() <= mask.size());
  auto again = auditor.beside(destination);
  again.reset();
  auditor.advance(destination, never);
  CHECK(auditor.finished());
  CHECK(auditor.compared_bytes() == mask.size());
  CHECK(differs == 0);
  CHECK_FALSE(auditor.beside(destination));
}
