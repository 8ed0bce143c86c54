// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbdkit/lower_disk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <future>
#include <string>
#include <vector>

using nbdkit::LowerDisk;
using Calls = std::vector<std::string>;

namespace {

constexpr uint64_t M = 1u << 20;

// The layer below as nbdkit hands it over: it says what it can do, and records what it is asked.
struct Lower : nbdkit_next_ops {
  bool write = true, flushes = true, fast_zero_too = true, multi = false;
  int zeroes = NBDKIT_ZERO_NATIVE, durable = NBDKIT_FUA_NATIVE;
  int failure = 0;         // of the next writing request, an errno
  bool blank = true;       // all that was written is zeroes
  util::Mutex *held = {};  // must be held for each request
  Calls calls;

  Lower() : nbdkit_next_ops{} {
    get_size = [](nbdkit_next *) { return int64_t{1} << 40; };
    export_description = [](nbdkit_next *) -> const char * { return nullptr; };
    block_size = [](nbdkit_next *, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum) {
      *minimum = *preferred = *maximum = 0;
      return 0;
    };
    can_write = [](nbdkit_next *n) { return int{of(n).write}; };
    can_flush = [](nbdkit_next *n) { return int{of(n).flushes}; };
    can_zero = [](nbdkit_next *n) { return of(n).zeroes; };
    can_fast_zero = [](nbdkit_next *n) { return int{of(n).fast_zero_too}; };
    can_fua = [](nbdkit_next *n) { return of(n).durable; };
    can_multi_conn = [](nbdkit_next *n) { return int{of(n).multi}; };
    can_extents = [](nbdkit_next *) { return 0; };
    pwrite = [](nbdkit_next *n, const void *bytes, uint32_t count, uint64_t offset, uint32_t flags,
                int *err) {
      const auto *first = static_cast<const char *>(bytes);
      of(n).blank &= std::all_of(first, first + count, [](char c) { return c == 0; });
      return of(n).called("write", count, offset, flags, err);
    };
    zero = [](nbdkit_next *n, uint32_t count, uint64_t offset, uint32_t flags, int *err) {
      return of(n).called("zero", count, offset, flags, err);
    };
    flush = [](nbdkit_next *n, uint32_t, int *err) { return of(n).called("flush", 0, 0, 0, err); };
  }

  static Lower &of(nbdkit_next *next) { return *static_cast<Lower *>(next); }
  nbdkit::Next next() { return nbdkit::Next(this); }

  int called(const char *what, uint32_t count, uint64_t offset, uint32_t flags, int *err) {
    if (held != nullptr) {
      CHECK_FALSE(std::async(std::launch::async, [&] { return free(); }).get());
    }
    calls.push_back(what);
    if (count > 0) calls.back() += fmt::format(" {}+{}", offset, count);
    if ((flags & NBDKIT_FLAG_FUA) != 0) calls.back() += " fua";
    if ((flags & NBDKIT_FLAG_MAY_TRIM) != 0) calls.back() += " trim";
    if ((flags & NBDKIT_FLAG_FAST_ZERO) != 0) calls.back() += " fast";
    *err = failure;
    return failure == 0 ? 0 : -1;
  }
  bool free() {
    const bool got = held->try_lock();
    if (got) held->unlock();
    return got;
  }
};

const std::vector<std::byte> bytes(100, std::byte('x'));

}  // namespace

TEST_CASE("a layer below that can do everything is asked for just that") {
  Lower lower;
  const LowerDisk disk(lower.next());
  disk.write(bytes, 5, true);
  disk.write(bytes, 5, false);
  disk.zero({7, 9}, NBDKIT_FLAG_MAY_TRIM, true);
  disk.zero({7, 9}, NBDKIT_FLAG_FAST_ZERO, false);
  disk.flush();
  CHECK(lower.calls ==
        Calls{"write 5+100 fua", "write 5+100", "zero 7+9 fua trim", "zero 7+9 fast", "flush"});
  CHECK_FALSE(disk.can().flush_covers_all());
  lower.multi = true;
  CHECK(nbdkit::LowerAbilities(lower.next()).flush_covers_all());
}

TEST_CASE("where the layer below has no FUA of its own, one flush follows") {
  for (int fua : {NBDKIT_FUA_NONE, NBDKIT_FUA_EMULATE}) {
    Lower lower;
    lower.durable = fua;
    const LowerDisk disk(lower.next());
    disk.write(bytes, 5, true);
    disk.write(bytes, 5, false);
    disk.zero({0, 33 * M}, 0, true);
    disk.zero({7, 9}, 0, false);
    CHECK(lower.calls == Calls{"write 5+100", "flush", "write 5+100", "zero 0+33554432",
                               "zero 33554432+1048576", "flush", "zero 7+9"});
  }
}

TEST_CASE("where it has no flush either, what it has answered is durable") {
  Lower lower;
  lower.durable = NBDKIT_FUA_NONE;
  lower.flushes = false;
  const LowerDisk disk(lower.next());
  disk.write(bytes, 5, true);
  disk.zero({7, 9}, 0, true);
  disk.flush();
  CHECK(lower.calls == Calls{"write 5+100", "zero 7+9"});
  CHECK(disk.can().flush_covers_all());
}

TEST_CASE("zeroes go down in steps of 32 MiB, each durable if that was asked for") {
  Lower lower;
  const LowerDisk disk(lower.next());
  disk.zero({3, 64 * M + 1}, 0, true);
  CHECK(lower.calls ==
        Calls{"zero 3+33554432 fua", "zero 33554435+33554432 fua", "zero 67108867+1 fua"});
}

TEST_CASE("zeroes are written where the layer below cannot zero") {
  Lower lower;
  lower.zeroes = NBDKIT_ZERO_NONE;
  const LowerDisk disk(lower.next());
  CHECK_FALSE(disk.can().zero);
  CHECK_FALSE(disk.can().fast_zero);
  disk.zero({3, (256u << 10) + 1}, NBDKIT_FLAG_MAY_TRIM, true);
  CHECK(lower.calls == Calls{"write 3+262144 fua", "write 262147+1 fua"});
  CHECK(lower.blank);
}

TEST_CASE("what one that is read-only could do is not asked, and not offered") {
  Lower lower;
  lower.write = false;
  lower.can_zero = nullptr;  // nbdkit ends the server
  lower.can_fast_zero = nullptr;
  lower.can_fua = nullptr;
  const nbdkit::LowerAbilities can(lower.next());
  CHECK_FALSE((can.write || can.zero || can.native_zero || can.fast_zero || can.native_fua));
  CHECK(can.minimum_block() == 1);
}

TEST_CASE("a failure is passed on, and nothing follows it") {
  Lower lower;
  lower.failure = ENOSPC;
  lower.durable = NBDKIT_FUA_EMULATE;
  const LowerDisk disk(lower.next());
  try {
    disk.zero({0, 64 * M}, 0, true);
    FAIL("no failure");
  } catch (const nbdkit::Reported &e) {
    CHECK(e.errnum == ENOSPC);
  }
  CHECK_THROWS_AS(disk.write(bytes, 0, true), nbdkit::Reported);
  CHECK_THROWS_AS(disk.flush(), nbdkit::Reported);
  CHECK(lower.calls.size() == 3);
}

TEST_CASE("the thread model decides which requests wait for each other") {
  util::Mutex all;
  nbdkit::RequestLock parallel(NBDKIT_THREAD_MODEL_PARALLEL, all);
  CHECK_FALSE(parallel.hold().owns_lock());

  nbdkit::RequestLock one(NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS, all);
  nbdkit::RequestLock other(NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS, all);
  auto held = one.hold();
  CHECK(held.owns_lock());
  CHECK(other.hold().mutex() != held.mutex());
  CHECK(held.mutex() != &all);

  for (int model :
       {NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS, NBDKIT_THREAD_MODEL_SERIALIZE_CONNECTIONS}) {
    nbdkit::RequestLock shared(model, all);
    CHECK(shared.hold().mutex() == &all);
  }
}

TEST_CASE("the lock is held for each request") {
  util::Mutex all;
  nbdkit::RequestLock lock(NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS, all);
  Lower lower;
  lower.held = &all;
  lower.durable = NBDKIT_FUA_EMULATE;
  const LowerDisk disk(lower.next(), &lock);
  disk.write(bytes, 0, true);
  disk.zero({0, 33 * M}, 0, true);
  disk.flush();
  CHECK(lower.calls.size() == 6);
  CHECK(lower.free());
}
