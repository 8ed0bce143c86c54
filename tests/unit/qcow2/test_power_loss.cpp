// SPDX-License-Identifier: BSD-3-Clause
//
// The crash contract: loss of power at any instant, and calls of the system that fail.
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <thread>

#include "common/util/error.hpp"
#include "tests/unit/qcow2/power_loss.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

// Some of it compresses to a half or less, some not at all.
Bytes content_of(size_t length, uint64_t seed) {
  Bytes bytes = random_bytes(length, seed);
  if (seed / 2 % 4 == 0) return bytes;
  make_letters(bytes, seed / 2 % 4 * 4);
  return bytes;
}

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

Bytes read_only(const std::string &path) {
  Options options;
  options.path = path;
  options.follow_backing = true;
  auto layer = open_read_only(options);
  Bytes disk(layer->size());
  layer->read(disk, 0);
  return disk;
}

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
                      size_t cache, uint64_t seed, std::optional<Compression> compression = {}) {
  Directory directory;
  Recorder recorder;
  Options options;
  options.observer = &recorder;
  options.settings.l2_cache_bytes = cache;
  options.settings.compression = compression;
  Bytes below = over_backing ? random_bytes(size / 2, seed) : Bytes();
  write_file(directory.file("base"), below);
  std::string path = directory.file("a.qcow2"), state = directory.file("state.qcow2");
  auto image = over_backing ? create(path, size, cluster, directory.file("base"), "raw", options)
                            : create(path, size, cluster, "", "", options);
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

// Fails what it is told to.
class Breaker : public FileObserver {
 public:
  std::function<int(const FileChange &)> fails = [](const FileChange &) { return 0; };
  uint64_t begin(FileChange change) override {
    if (int error = fails(change); error != 0) util::fail_os(error, "broken on purpose");
    return 0;
  }
  void done(uint64_t) override {}
};

template <typename Body>
int error_of(Body &&body) {
  try {
    body();
  } catch (const util::Error &e) {
    return e.errnum();
  }
  return 0;
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

TEST_CASE("the same when the L2 cache is written because it is full") {
  lose_power_while(512, 1 << 20, false, 3, 1, 1);
  lose_power_while(512, 1 << 20, true, 3, 1, 2);
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

TEST_CASE("when there is no more space the write fails, and goes on when there is") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  for (auto kind : {FileChange::Kind::write, FileChange::Kind::reserve}) {
    Breaker breaker;
    Options options;
    options.observer = &breaker;
    options.create = Create::automatic;
    std::filesystem::remove(path);
    auto image = create(path, 16 << 20, 512, "", "", options);
    Bytes first = random_bytes(1 << 20, 1), second = random_bytes(1 << 20, 2);
    image->write(first, 0);
    image->flush();
    breaker.fails = [&](const FileChange &c) { return c.kind == kind ? ENOSPC : 0; };
    CHECK(error_of([&] { image->write(second, 4 << 20); }) == ENOSPC);
    CHECK(error_of([&] { image->zero(100, 100); }) ==
          (kind == FileChange::Kind::write ? ENOSPC : 0));
    (void)error_of([&] { image->flush(); });
    breaker.fails = [](const FileChange &) { return 0; };
    image->zero(100, 100);
    std::fill(first.begin() + 100, first.begin() + 200, std::byte{0});
    image->write(second, 4 << 20);
    CHECK(error_of([&] { image->flush(); }) == 0);
    Bytes back(1 << 20);
    image->read(back, 0);
    CHECK((back == first));
    image->read(back, 4 << 20);
    CHECK((back == second));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}

TEST_CASE("without space for compressed data a write or a flush fails, until there is some") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  for (auto kind : {FileChange::Kind::write, FileChange::Kind::reserve}) {
    Breaker breaker;
    Options options;
    options.observer = &breaker;
    options.settings.compression = Compression{CompressionType::zstd, 1};
    std::filesystem::remove(path);
    auto image = create(path, 16 << 20, 4096, "", "", options);
    Bytes first = content_of(1 << 20, 6), second = content_of(1 << 20, 4);
    image->write(first, 0);
    image->flush();
    breaker.fails = [&](const FileChange &c) { return c.kind == kind ? ENOSPC : 0; };
    int error = error_of([&] { image->write(second, 4 << 20); });
    if (error == 0) error = error_of([&] { image->flush(); });
    CHECK(error == ENOSPC);
    Bytes back(1 << 20);
    image->read(back, 0);
    CHECK((back == first));
    breaker.fails = [](const FileChange &) { return 0; };
    image->write(second, 4 << 20);
    CHECK(error_of([&] { image->flush(); }) == 0);
    image->read(back, 0);
    CHECK((back == first));
    image->read(back, 4 << 20);
    CHECK((back == second));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
    CHECK(std::filesystem::file_size(path) < (2 << 20));  // it was compressed
    Bytes disk = read_only(path);
    CHECK(std::equal(second.begin(), second.end(), disk.begin() + (4 << 20)));
  }
}

TEST_CASE("now and then a change of the file fails: the image is sound, with what was flushed") {
  std::optional<Compression> compression;
  SECTION("as it is") {}
  SECTION("compressed") {
    compression = Compression{CompressionType::zstd, 1};
  }
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Breaker breaker;
  std::mt19937_64 dice(2);
  Options options;
  options.observer = &breaker;
  options.settings.l2_cache_bytes = 1;
  options.settings.compression = compression;
  auto image = create(path, 4 << 20, 512, "", "", options);
  breaker.fails = [&](const FileChange &c) {
    return c.kind != FileChange::Kind::sync && dice() % 40 == 0 ? EIO : 0;
  };
  Bytes model(4 << 20);
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; ++i) {
    uint64_t at = random() % (model.size() - 700), n = random() % 700 + 1;
    Bytes data = content_of(n, random());
    for (int error = -1; error != 0;) {
      error = error_of([&] { image->write(data, at); });
      if (error != 0) CHECK(error == EIO);
    }
    std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
  }
  for (int i = 0; i < 1000 && error_of([&] { image->flush(); }) != 0; ++i) {
  }
  CHECK((read_all(*image) == model));
  breaker.fails = [](const FileChange &) { return 0; };
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_only(path) == model));
}

TEST_CASE("after a sync has failed every flush does, and the image stays marked dirty") {
  std::optional<Compression> compression;
  SECTION("as it is") {}
  SECTION("compressed") {
    compression = Compression{CompressionType::zlib, 1};
  }
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Breaker breaker;
  Options options;
  options.observer = &breaker;
  options.settings.compression = compression;
  auto image = create(path, 1 << 20, 4096, "", "", options);
  Bytes data = content_of(100000, 4);
  image->write(data, 0);
  image->flush();
  breaker.fails = [](const FileChange &c) { return c.kind == FileChange::Kind::sync ? EIO : 0; };
  image->write(data, 500000);
  CHECK(error_of([&] { image->flush(); }) == EIO);
  breaker.fails = [](const FileChange &) { return 0; };
  CHECK(error_of([&] { image->flush(); }) == EIO);
  CHECK(error_of([&] { image->finalise(); }) == EIO);
  image.reset();
  image = reopen(path);
  Bytes back(data.size());
  image->read(back, 0);
  CHECK((back == data));
  image.reset();
  CHECK(check(path) == 0);
}

TEST_CASE("to close an image may fail, and be tried again: also when its refcount table moves") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Bytes data = random_bytes(4 << 20, 3);
  bool failed = true;
  for (int which = 0; failed; ++which) {
    Breaker breaker;
    Options options;
    options.observer = &breaker;
    std::filesystem::remove(path);
    auto image = create(path, 4 << 20, 512, "", "", options);  // with a table for 8 MiB
    for (int round = 0; round < 3; ++round) {
      image->zero(0, 4 << 20);
      image->write(data, 0);
    }
    image->flush();
    int changes = 0;  // of the header and of the length
    breaker.fails = [&](const FileChange &c) {
      bool counts = c.kind == FileChange::Kind::set_length ||
                    (c.kind == FileChange::Kind::write && c.offset < 512);
      return counts && changes++ == which ? EIO : 0;
    };
    failed = error_of([&] { image->finalise(); }) != 0;
    CHECK(failed == (which < 3));
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
    CHECK((read_only(path) == data));
  }
}
