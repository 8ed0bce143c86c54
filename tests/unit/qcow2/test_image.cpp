// SPDX-License-Identifier: BSD-3-Clause
//
// Images that are written by several threads, compared with a model: an array of bytes.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "common/util/zero.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/qcow2/support.hpp"
#include "tests/unit/rounds.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

// A disk cut into pieces of odd sizes, many in one cluster, some over several; each belongs to one
// of the threads, so that what it does is certain although clusters are shared.
class Workload {
 public:
  Workload(Image &image, Bytes &model, unsigned threads, uint64_t seed)
      : image_(image), model_(model), threads_(threads) {
    std::mt19937_64 random(seed);
    for (uint64_t at = 0; at < model.size();) {
      uint64_t most = random() % 3 == 0 ? 5 * image.cluster_size() : image.cluster_size() / 2;
      uint64_t n = std::min<uint64_t>(random() % most + 1, model.size() - at);
      pieces_.push_back({at, n});
      at += n;
    }
  }

  void run(uint64_t seed, unsigned steps) {
    std::vector<std::jthread> pool;
    for (unsigned t = 0; t < threads_; ++t) {
      pool.emplace_back([this, t, seed, steps] {
        std::mt19937_64 random(seed * 100 + t);
        for (unsigned i = 0; i < steps; ++i) step(t, random);
      });
    }
  }
  bool all_reads_right() const { return wrong_reads_ == 0; }

 private:
  void step(unsigned thread, std::mt19937_64 &random) {
    size_t mine = (pieces_.size() - thread + threads_ - 1) / threads_;
    extents::Range piece = pieces_[random() % mine * threads_ + thread];
    if (random() % 2 == 0) {
      uint64_t skip = random() % piece.length;
      piece = {piece.offset + skip, random() % (piece.length - skip) + 1};
    }
    auto at = model_.begin() + static_cast<std::ptrdiff_t>(piece.offset);
    auto end = at + static_cast<std::ptrdiff_t>(piece.length);
    switch (random() % 8) {
      case 0:
        image_.zero(piece.offset, piece.length);
        std::fill(at, end, std::byte{0});
        break;
      case 1:
        image_.trim(piece.offset, piece.length);
        trim_model(piece);
        break;
      case 2: {
        Bytes read = read_part(image_, piece.offset, piece.length);
        if (!testing::equal({at, end}, read)) ++wrong_reads_;
        break;
      }
      case 3:
        if (random() % 4 == 0) image_.flush();
        break;
      case 4:
        std::fill(at, end, std::byte{0});
        image_.write(Bytes(piece.length), piece.offset);
        break;
      default: {
        Bytes data = random_bytes(piece.length, random());
        std::copy(data.begin(), data.end(), at);
        image_.write(data, piece.offset);
      }
    }
  }

  void trim_model(extents::Range range) {
    uint64_t cs = image_.cluster_size();
    for (uint64_t c = range.offset / cs; c * cs < range.end(); ++c) {
      uint64_t stop = std::min<uint64_t>((c + 1) * cs, model_.size());
      if (c * cs < range.offset || stop > range.end()) continue;
      std::fill(model_.begin() + static_cast<std::ptrdiff_t>(c * cs),
                model_.begin() + static_cast<std::ptrdiff_t>(stop), std::byte{0});
    }
  }

  Image &image_;
  Bytes &model_;
  const unsigned threads_;
  std::vector<extents::Range> pieces_;
  std::atomic<unsigned> wrong_reads_ = 0;
};

// Extents cover the range without gaps, and what they call zero is zero.
void check_extents(const Image &image, const Bytes &model) {
  uint64_t at = 0;
  bool zeroes_are_zero = true;
  image.extents({0, model.size()}, [&](const extents::Extent &e) {
    CHECK(e.offset == at);
    at = e.end();
    if ((e.type & extents::zero) != 0) {
      zeroes_are_zero &= util::is_zero(std::span(model).subspan(e.offset, e.length));
    }
    return true;
  });
  CHECK(at == model.size());
  CHECK(zeroes_are_zero);
}

void run_and_check(const std::string &path, std::unique_ptr<Image> image, Bytes model,
                   uint64_t seed, unsigned steps) {
  Workload workload(*image, model, 4, seed);
  for (unsigned round = 0; round < 3; ++round) {
    workload.run(seed + round, steps);
    CHECK(workload.all_reads_right());
    CHECK(testing::equal(read_all(*image), model));
    check_extents(*image, model);
    if (round == 1) image->finalise();  // writing continues after it
  }
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  image = reopen(path);
  CHECK(testing::equal(read_all(*image), model));
  Workload(*image, model, 4, seed + 1).run(seed + 7, steps);
  CHECK(testing::equal(read_all(*image), model));
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
}

}  // namespace

TEST_CASE("four threads write, zero, trim and read a disk, and it is what they wrote") {
  Directory directory;
  for (auto [cluster, size] :
       {std::pair{512u, 300u << 9}, {4096u, 2049u << 9}, {65536u, 8195u << 9}}) {
    std::string path = directory.file(std::to_string(cluster) + ".qcow2");
    run_and_check(path, create(path, size, cluster), Bytes(size), cluster, testing::rounds(300));
  }
}

TEST_CASE("four threads write over a shorter raw backing file, and it is what they wrote") {
  Directory directory;
  std::string base = directory.file("base.raw");
  Bytes below = random_bytes(700001, 1);
  std::fill(below.begin() + 100000, below.begin() + 200000, std::byte{0});
  write_file(base, below);
  for (auto [cluster, size] :
       {std::pair{512u, 2000u << 9}, {4096u, 2049u << 9}, {65536u, 3001u << 9}}) {
    std::string path = directory.file(std::to_string(cluster) + ".qcow2");
    Bytes model = below;
    model.resize(size);
    auto image = create(path, size, cluster, base, "raw");
    CHECK(testing::equal(read_all(*image), model));
    run_and_check(path, std::move(image), model, cluster + 1, testing::rounds(300));
  }
  CHECK((load_file(base) == below));
}

TEST_CASE("four threads write with an L2 cache of a few slices, and it is what they wrote") {
  Directory directory;
  Settings settings;
  settings.l2_cache_bytes = 1;
  for (auto [cluster, size] : {std::pair{512u, 9000u << 9}, {4096u, 9u << 20}}) {
    std::string path = directory.file(std::to_string(cluster) + ".qcow2");
    auto image = create(path, size, cluster, "", "", settings);
    run_and_check(path, std::move(image), Bytes(size), cluster, testing::rounds(300));
  }
}

TEST_CASE(
    "many tables at random, few in memory: all is there, flushed or not, and after a reopen") {
  Directory directory;
  std::string path = directory.file("a.qcow2");
  Settings settings;
  settings.l2_cache_bytes = 64 << 10;
  constexpr uint64_t count = testing::rounds(5000);
  auto image = create(path, 1ull << 40, 4096, "", "", settings);
  auto place = [&](uint64_t i) { return i * 0x9e37'79b9'7f4a'7c15 % (1ull << 40) / 512 * 512; };
  auto write = [&](unsigned thread) {
    for (uint64_t i = thread; i < count; i += 4) image->write(random_bytes(512, i), place(i));
  };
  {
    std::vector<std::jthread> pool;
    for (unsigned t = 0; t < 4; ++t) pool.emplace_back(write, t);
  }
  auto all_there = [&] {
    for (uint64_t i = 0; i < count; ++i) {
      if (read_part(*image, place(i), 512) != random_bytes(512, i)) return false;
    }
    return true;
  };
  CHECK(all_there());
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  image = reopen(path);
  CHECK(all_there());
}
