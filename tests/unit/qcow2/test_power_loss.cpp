// SPDX-License-Identifier: BSD-3-Clause
//
// The power fails at any instant: what was flushed is there, and the image is repairable. QCOW2_ROUNDS=N looks at N times as
// many instants.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/unit/qcow2/failure_support.hpp"
#include "tests/unit/qcow2/power_loss.hpp"
#include "tests/unit/rounds.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

constexpr Compression zlib{CompressionType::zlib, 1}, zstd{CompressionType::zstd, 1};

// A disk cut into pieces, each with what was written to it and when.
class History {
 public:
  History(uint64_t size, uint64_t cluster, Bytes below, uint64_t seed) : below_(std::move(below)) {
    below_.resize(size);
    std::mt19937_64 random(seed);
    for (uint64_t at = 0; at < size;) {
      uint64_t most = random() % 3 == 0 ? 4 * cluster : cluster / 2;
      uint64_t n = std::min<uint64_t>(random() % most + 1, size - at);
      pieces_.push_back({{at, n}, {}});
      at += n;
    }
  }

  // Each thread has its own pieces. Errors end the operation only.
  void run(Image &image, Recorder &recorder, unsigned thread, unsigned threads, unsigned steps,
           uint64_t seed) {
    std::mt19937_64 random(seed * 1000 + thread);
    size_t mine = (pieces_.size() - thread + threads - 1) / threads;
    for (unsigned i = 0; i < steps; ++i) {
      if (random() % 12 == 0) {
        flush(image, recorder);
        continue;
      }
      Piece &piece = pieces_[random() % mine * threads + thread];
      Write write{recorder.now(), Recorder::never, random() % 4 == 0 ? 0 : random() | 1};
      piece.writes.push_back(write);
      if (write.content == 0) {
        image.zero(piece.range.offset, piece.range.length);
      } else {
        image.write(content_of(piece.range.length, write.content), piece.range.offset);
      }
      piece.writes.back().end = recorder.now();
    }
  }
  void flush(Image &image, Recorder &recorder) {
    uint64_t begin = recorder.now();
    image.flush();
    std::lock_guard lock(mutex_);
    flushes_.push_back({begin, recorder.now(), 0});
  }
  // No other thread may be writing.
  void close(Image &image, Recorder &recorder) {
    uint64_t begin = recorder.now();
    image.finalise();
    flushes_.push_back({begin, recorder.now(), 0});
    closings_.push_back({begin, recorder.now() - begin});
  }
  // When the image was being closed.
  const std::vector<extents::Range> &closings() const { return closings_; }

  // Whether all that was flushed by then is in the disk, as far as nothing came over it.
  bool is_kept(const Bytes &disk, uint64_t time) const {
    uint64_t flushed = 0;
    for (const Write &f : flushes_) {
      if (f.end <= time) flushed = std::max(flushed, f.begin);
    }
    for (const Piece &piece : pieces_) {
      const Write *last = nullptr;
      bool overwritten = false;
      for (const Write &w : piece.writes) {
        if (w.end < flushed) {
          last = &w;
        } else if (w.begin <= time) {
          overwritten = true;
        }
      }
      if (overwritten) continue;
      auto [offset, length] = piece.range;
      Bytes want(below_.begin() + offset, below_.begin() + offset + length);
      if (last != nullptr) want = last->content ? content_of(length, last->content) : Bytes(length);
      if (!testing::equal(want, std::span(disk).subspan(offset, length))) return false;
    }
    return true;
  }

 private:
  struct Write {
    uint64_t begin;
    uint64_t end;
    uint64_t content;  // a seed, or 0 for zeroes
  };
  struct Piece {
    extents::Range range;
    std::vector<Write> writes;
  };
  Bytes below_;
  std::vector<Piece> pieces_;
  std::mutex mutex_;  // protects flushes_
  std::vector<Write> flushes_;
  std::vector<extents::Range> closings_;
};

bool is_dirty(const std::string &path) {
  return (load_file(path)[Header::features_at + 7] & std::byte{dirty_bit}) != std::byte{0};
}

// As it is, after qemu-img has repaired it, and after we have. An image that is not marked dirty has no errors, nor leaks:
// nobody would repair it.
void check_state(const std::string &path, const History &history, uint64_t time, bool with_qemu) {
  CHECK(history.is_kept(read_only(path), time));
  if (!is_dirty(path)) {
    CHECK(check(path) == 0);
  } else if (with_qemu) {
    std::string copy = path + ".copy";
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    CHECK(check(copy, "-r all") == 0);
    CHECK(check(copy) == 0);
    CHECK(history.is_kept(read_only(copy), time));
  }
  CHECK(history.is_kept(read_all(*reopen(path)), time));
  if (with_qemu) CHECK(check(path) == 0);
}

// Instants in order: some at any time, some while the image is being closed, most of those at the end of that.
std::vector<uint64_t> instants(uint64_t end, const std::vector<extents::Range> &closings,
                               std::mt19937_64 &random) {
  const char *rounds = std::getenv("QCOW2_ROUNDS");
  unsigned times_as_many = rounds == nullptr ? 1 : static_cast<unsigned>(std::atoi(rounds));
  unsigned count = testing::rounds(10) * times_as_many;
  std::vector<uint64_t> times;
  for (unsigned i = 0; i < count; ++i) {
    times.push_back(random() % (end + 1));
    const extents::Range &closing = closings[i % closings.size()];
    uint64_t most = i % 3 == 0 ? closing.length : std::min<uint64_t>(closing.length, 12);
    times.push_back(closing.end() - random() % (most + 1));
  }
  std::sort(times.begin(), times.end());
  return times;
}

void lose_power_while(uint64_t cluster, uint64_t size, bool over_backing, unsigned threads,
                      size_t cache, uint64_t seed, std::optional<Compression> compression = {},
                      bool fallocate = true) {
  Directory directory;
  Recorder recorder;
  recorder.fallocate = fallocate;
  Settings settings;
  settings.observer = &recorder;
  settings.l2_cache_bytes = cache;
  settings.compression = compression;
  Bytes below = over_backing ? random_bytes(size / 2, seed) : Bytes();
  write_file(directory.file("base"), below);
  std::string path = directory.file("a.qcow2"), state = directory.file("state.qcow2");
  auto image = over_backing ? create(path, size, cluster, directory.file("base"), "raw", settings)
                            : create(path, size, cluster, "", "", settings);
  const Bytes base = load_file(path);
  History history(size, cluster, below, seed);
  for (unsigned round = 0; round < 2; ++round) {
    {
      std::vector<std::jthread> pool;
      for (unsigned t = 0; t < threads; ++t) {
        pool.emplace_back(
            [&, t] { history.run(*image, recorder, t, threads, 120 / threads, seed + round); });
      }
    }
    if (round == 0) history.flush(*image, recorder);
    history.close(*image, recorder);
  }
  image.reset();
  CHECK(check(path) == 0);
  const uint64_t end = recorder.now();
  CHECK(history.is_kept(read_only(path), end));

  std::mt19937_64 random(seed);
  PowerLoss power_loss(recorder, base);
  unsigned i = 0;
  for (uint64_t time : instants(end, history.closings(), random)) {
    INFO("cluster " << cluster << " seed " << seed << " time " << time);
    write_file(state, power_loss.after(time, random));
    check_state(state, history, time, i++ % 6 == 0);
  }
}

}  // namespace

TEST_CASE("power may fail at any instant: what was flushed is there, and the image is repairable",
          "[single]") {
  for (uint64_t cluster : {512, 4096, 65536}) {
    uint64_t size = cluster * (cluster == 65536 ? 20 : 150) + 512;
    lose_power_while(cluster, size, false, 1, 1 << 20, cluster + 1);
    lose_power_while(cluster, size, true, 1, 1 << 20, cluster + 2);
  }
}

TEST_CASE("power may fail at any instant while several threads write") {
  lose_power_while(512, 150 * 512 + 512, true, 3, 1 << 20, 515);
  lose_power_while(4096, 150 * 4096 + 512, true, 3, 1 << 20, 4099);
}

TEST_CASE("power may fail at any instant while several threads write large clusters", "[single]") {
  lose_power_while(65536, 20 * 65536 + 512, true, 3, 1 << 20, 65539);
}

TEST_CASE("power may fail at any instant while the L2 cache is written because it is full") {
  lose_power_while(512, 1 << 20, false, 3, 1, 1);
  lose_power_while(512, 1 << 20, true, 3, 1, 2);
}

TEST_CASE("power may fail at any instant on a file system without fallocate") {
  lose_power_while(4096, 150 * 4096 + 512, true, 3, 1 << 20, 1, {}, false);
  lose_power_while(512, 1 << 20, false, 3, 1, 2, {}, false);
}

TEST_CASE("power may fail at any instant, with compressed clusters", "[single]") {
  for (uint64_t cluster : {512, 4096, 65536}) {
    uint64_t size = cluster * (cluster == 65536 ? 20 : 150) + 512;
    lose_power_while(cluster, size, false, 1, 1 << 20, cluster + 1, zlib);
    lose_power_while(cluster, size, true, 1, 1 << 20, cluster + 2, zstd);
  }
  lose_power_while(65536, 20 * 65536 + 512, true, 3, 1 << 20, 65539, zlib);
}

TEST_CASE("power may fail at any instant while several threads write compressed clusters") {
  lose_power_while(512, 150 * 512 + 512, true, 3, 1 << 20, 515, zlib);
  lose_power_while(4096, 150 * 4096 + 512, true, 3, 1 << 20, 4099, zlib);
  lose_power_while(512, 1 << 20, false, 3, 1, 1, zstd);  // the L2 cache is always full
  lose_power_while(512, 1 << 20, true, 3, 1, 2, zlib);
}
