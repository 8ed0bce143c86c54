// SPDX-License-Identifier: BSD-3-Clause
//
// The power fails at any instant while clients work and the disk is fetched: what was flushed is there, what is not owed
// is right, and the state says that clients have written before they have. Then it goes on from what is left.
#include <catch2/catch.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "common/util/log.hpp"
#include "filters/pull/background/fetch_workers.hpp"
#include "filters/pull/background/progress_saver.hpp"
#include "filters/pull/pull_client.hpp"
#include "filters/pull/source/map_reader.hpp"
#include "tests/unit/directory.hpp"
#include "tests/unit/durable_calls.hpp"
#include "tests/unit/pull/power_loss.hpp"
#include "tests/unit/rounds.hpp"

using extents::Range;
using namespace pull;
using testing::Bytes;
using testing::LosingDisk;
using testing::PowerLoss;

namespace {

constexpr uint64_t size = 3000, chunk = 256, piece = 100;
constexpr unsigned clients = 3;
constexpr auto source_byte = std::byte('s');

// Chunks of data and of zeroes.
Bytes source_bytes() {
  Bytes bytes(size, source_byte);
  for (uint64_t i = 0; i < size; ++i) {
    if (i / chunk % 3 == 1) bytes[i] = std::byte{0};
  }
  return bytes;
}

class Source : public RemoteDisk {
 public:
  Source(unsigned seed, bool faulty) : faulty_(faulty), random_(seed) {}
  void read(std::span<std::byte> buffer, uint64_t offset, Waiting) override {
    if (fails()) util::fail(EIO, "the source is away");
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), buffer.size(), buffer.begin());
  }
  void read_map(uint64_t, const std::function<void(const extents::Extent &)> &add) override {
    for (uint64_t at = 0; at < size; at += chunk) {
      const bool is_zero = at / chunk % 3 == 1;
      add({at, std::min(chunk, size - at),
           is_zero ? extents::hole | extents::zero : extents::data});
    }
  }
  void add_connections() override {}
  void confirm() override {
    if (fails()) util::fail(EIO, "the source does not answer");
  }
  bool is_given_up() const override { return false; }
  void connect_again() override {}
  void interrupt() override {}
  void close() override {}

 private:
  bool fails() {
    std::lock_guard lock(mutex_);
    return faulty_ && random_() % 8 == 0;
  }
  const Bytes bytes_ = source_bytes();
  const bool faulty_;
  std::mutex mutex_;
  std::mt19937 random_;
};

struct Life {
  Life(const PowerLoss::Left &left, std::string path, unsigned number, bool is_last)
      : seed(number),
        covers_all(number % 2 == 0),
        faulty(!is_last),
        power(source_bytes(), left.disk, path, covers_all),
        calls([this](const std::string &call) {
          if (call == "sync directory") power.state_synced();
        }),
        presence(owed_of(left.state)),
        map(size, false),
        state(std::move(path), left.state, presence),
        local(power, PowerLoss::background, seed, faulty),
        remote(seed, faulty),
        fetcher(presence, changes, local, remote, memory, counters) {
    state.begin("");
    if (covers_all) shared.emplace(presence);
    Settings settings;
    settings.chunk = chunk;
    settings.memory = 8 * chunk;
    settings.patience.retry_max = std::chrono::milliseconds(1);
    settings.rate = is_last ? 0 : 50'000;
    map_reader.emplace(remote, map, util::Log());
    workers = std::make_unique<FetchWorkers>(
        settings, size, FetchWorkers::Parts{presence, fetcher, map, nullptr}, util::Log());
    map_reader->when_known([this] { workers->note_map(); });
    std::function<void()> flush_clients;
    if (shared) flush_clients = [this] { shared->flush(local, state); };
    saver = std::make_unique<ProgressSaver>(
        ProgressSaver::Parts{presence, local, remote, state}, flush_clients,
        [this] { whole = true; }, nullptr, util::Log(), std::chrono::milliseconds(0));
  }

  static extents::RangeSet owed_of(const replication::State &state) {
    extents::RangeSet set(size);
    for (const Range &range : state.owed) set.add(range);
    return set;
  }

  void run_clients() {
    std::vector<std::jthread> threads;
    for (unsigned c = 0; c < clients; ++c) {
      threads.emplace_back([this, c] { run(c); });
    }
  }

  void run(unsigned number) {
    LosingDisk disk(power, number + 1, seed * 10 + number, faulty);
    PullClient client(
        {disk, presence, changes, map, fetcher, workers.get(), state, counters, waiting, whole},
        shared ? &*shared : nullptr);
    std::mt19937 random(seed * 10 + number);
    std::vector<Range> written;
    for (int i = 0; i < 40; ++i) {
      Range range{random() % (size / piece / clients) * piece * clients + piece * number, piece};
      range.offset += random() % piece;
      range.length = 1 + random() % (piece - range.offset % piece);
      step(client, range, random, written);
    }
    while (!flushed(client, written) && !faulty) {
    }
  }

  void step(PullClient &client, Range range, std::mt19937 &random, std::vector<Range> &written) {
    const unsigned what = random() % 8;
    if (what < 2) return read(client, range);
    if (what == 2) {
      flushed(client, written);
      return;
    }
    const bool durable = random() % 4 == 0;
    written.push_back(range);
    try {
      change(client, range, what == 3 ? std::byte{0} : std::byte(random()), durable);
    } catch (const util::Error &) {  // the flush of FUA
      written.clear();
      return;
    }
    if (durable) power.client_flushed(range);
  }

  void read(PullClient &client, Range range) {
    Bytes found(range.length);
    try {
      client.read(found, range.offset);
    } catch (const util::Error &) {
      return;
    }
    wrong_reads += power.client_reads(range, found) ? 0 : 1;
  }

  // Zeroes are tried by a fast zero.
  void change(PullClient &client, Range range, std::byte value, bool durable) {
    power.client_writes(range, value);
    if (value != std::byte{0})
      return client.write(Bytes(range.length, value), range.offset, durable);
    try {
      client.fast_zero(range, LocalDisk::Hole::allowed, durable);
    } catch (const util::Error &e) {
      if (e.errnum() != ENOTSUP) throw;
      client.zero(range, LocalDisk::Hole::keep, durable);
    }
  }

  bool flushed(PullClient &client, std::vector<Range> &written) {
    try {
      client.flush();
    } catch (const util::Error &) {
      written.clear();  // it may be lost
      return false;
    }
    for (const Range &range : written) power.client_flushed(range);
    return true;
  }

  void stop() {
    map_reader.reset();
    workers.reset();
    saver.reset();
  }

  const unsigned seed;
  const bool covers_all, faulty;
  PowerLoss power;
  testing::DurableCalls calls;
  Presence presence;
  SourceMap map;
  extents::RangeLock changes;
  Memory memory{8 * chunk};
  Counters counters;
  util::Waiters waiting;
  StateSaver state;
  LosingDisk local;
  Source remote;
  ChunkFetcher fetcher;
  std::optional<FlushScope> shared;
  std::atomic<bool> whole = false;
  std::atomic<int> wrong_reads = 0;
  std::unique_ptr<FetchWorkers> workers;
  std::unique_ptr<ProgressSaver> saver;
  std::optional<MapReader> map_reader;
};

PowerLoss::Left new_disk(unsigned seed) {
  PowerLoss::Left left{Bytes(size, seed % 2 == 0 ? std::byte{0} : std::byte('?')), {}};
  left.state.size = size;
  left.state.owed = {{0, size}};
  return left;
}

}  // namespace

TEST_CASE(
    "the power fails at any instant: what was flushed is there, and what is not owed is right") {
  for (unsigned seed = 0; seed < testing::rounds(6); ++seed) {
    testing::Directory directory;
    const std::string path = directory.file("state");
    PowerLoss::Left left = new_disk(seed);
    constexpr unsigned lives = 3;
    for (unsigned i = 0; i < lives; ++i) {
      const bool is_last = i + 1 == lives;
      replication::save_state(path, left.state);
      Life life(left, path, seed * lives + i, is_last);
      if (!is_last) life.power.lose_after(1 + (seed * 7919 + i * 104729) % 400, seed * lives + i);
      life.run_clients();
      while (is_last && !life.whole) std::this_thread::yield();
      life.stop();
      INFO("seed " << seed << ", life " << i << ", " << life.power.steps() << " steps");
      CHECK(life.power.violation() == "");
      CHECK(life.wrong_reads == 0);
      left = life.power.left();
      if (!is_last) continue;
      CHECK(left.state.owed.empty());
      CHECK(left.disk == life.power.client_view());
    }
  }
}
