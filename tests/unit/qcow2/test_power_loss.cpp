// SPDX-License-Identifier: BSD-3-Clause
//
// The power fails at any instant: what was flushed is there, and the image is repairable.
#include <catch2/catch.hpp>
#include <mutex>
#include <thread>

#include "tests/unit/qcow2/failure_support.hpp"
#include "tests/unit/qcow2/power_loss.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

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
};

// As it is, after qemu-img has repaired it, and after we have.
void check_state(const std::string &path, const History &history, uint64_t time, bool with_qemu) {
  CHECK(history.is_kept(read_only(path), time));
  std::string copy = path + ".copy";
  if (with_qemu) {
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    int first = check(copy);
    CHECK((first == 0 || check(copy, "-r all") == 0));
    CHECK(check(copy) == 0);
    CHECK(history.is_kept(read_only(copy), time));
  }
  CHECK(history.is_kept(read_all(*reopen(path)), time));
  if (with_qemu) CHECK(check(path) == 0);
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
    history.flush(*image, recorder);
    image->finalise();
  }
  image.reset();
  CHECK(check(path) == 0);
  const uint64_t end = recorder.now();
  CHECK(history.is_kept(read_only(path), end));

  std::mt19937_64 random(seed);
  for (unsigned i = 0; i < 40; ++i) {
    uint64_t time = random() % (end + 1);
    INFO("cluster " << cluster << " seed " << seed << " time " << time);
    write_file(state, recorder.after_power_loss(base, time, random));
    check_state(state, history, time, i % 6 == 0);
  }
}

}  // namespace

TEST_CASE("power may fail at any instant: what was flushed is there, and the image is repairable",
          "[single]") {
  for (uint64_t cluster : {512, 4096, 65536}) {
    uint64_t size = cluster * (cluster == 65536 ? 20 : 150) + 512;
    lose_power_while(cluster, size, false, 1, 1 << 20, cluster + 1);
    lose_power_while(cluster, size, true, 1, 1 << 20, cluster + 2);
    lose_power_while(cluster, size, true, 3, 1 << 20, cluster + 3);
  }
}

TEST_CASE("power may fail at any instant while the L2 cache is written because it is full") {
  lose_power_while(512, 1 << 20, false, 3, 1, 1);
  lose_power_while(512, 1 << 20, true, 3, 1, 2);
}

TEST_CASE("power may fail at any instant on a file system without fallocate") {
  lose_power_while(4096, 150 * 4096 + 512, true, 3, 1 << 20, 1, {}, false);
  lose_power_while(512, 1 << 20, false, 3, 1, 2, {}, false);
}

TEST_CASE("power may fail at any instant, with compressed clusters") {
  const Compression zlib{CompressionType::zlib, 1}, zstd{CompressionType::zstd, 1};
  for (uint64_t cluster : {512, 4096, 65536}) {
    uint64_t size = cluster * (cluster == 65536 ? 20 : 150) + 512;
    lose_power_while(cluster, size, false, 1, 1 << 20, cluster + 1, zlib);
    lose_power_while(cluster, size, true, 1, 1 << 20, cluster + 2, zstd);
    lose_power_while(cluster, size, true, 3, 1 << 20, cluster + 3, zlib);
  }
  lose_power_while(512, 1 << 20, false, 3, 1, 1, zstd);  // the L2 cache is always full
  lose_power_while(512, 1 << 20, true, 3, 1, 2, zlib);
}
