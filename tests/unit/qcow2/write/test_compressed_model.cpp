// SPDX-License-Identifier: BSD-3-Clause
//
// Images that are written compressed by several threads, compared with a model: an array of bytes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

#include "common/util/zero.hpp"
#include "tests/unit/bytes.hpp"
#include "tests/unit/qcow2/compressed_support.hpp"
#include "tests/unit/rounds.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

// Each thread has slices of the disk to itself, which begin and end anywhere in a cluster: in order
// or at random, in small pieces and in large ones.
class Work {
 public:
  Work(Image &image, Bytes &model, unsigned thread, uint64_t seed)
      : image_(image), model_(model), random_(seed * 8 + thread), thread_(thread) {}

  void run(unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) step();
  }
  bool right = true;

 private:
  static constexpr uint64_t threads = 4;

  void step() {
    uint64_t slice = image_.cluster_size() * 7 + 333;
    uint64_t slices = model_.size() / slice / threads;
    uint64_t start = (random_() % slices * threads + thread_) * slice;
    uint64_t at = start + random_() % slice;
    uint64_t n = random_() % (start + slice - at) + 1;
    switch (random_() % 10) {
      case 0:
        image_.zero(at, n);
        set(at, Bytes(n));
        return;
      case 1:
      case 2:
        return check(at, n);
      case 3:
        if (random_() % 3 == 0) image_.flush();
        return;
      case 4:
        return write(at, Bytes(n));
      case 5:
        return write(at, noise(n, random_()));
      case 6: {  // in order, in small pieces
        uint64_t piece = random_() % 4096 + 1;
        for (uint64_t p = at; p < at + n; p += piece) {
          write(p, text(std::min(piece, at + n - p), random_()));
        }
        return check(at, n);
      }
      default:
        return write(at, text(n, random_()));
    }
  }
  void set(uint64_t at, const Bytes &data) {
    std::copy(data.begin(), data.end(), model_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void write(uint64_t at, const Bytes &data) {
    image_.write(data, at);
    set(at, data);
  }
  void check(uint64_t at, uint64_t n) {
    if (!testing::equal(read_part(image_, at, n), std::span(model_).subspan(at, n))) right = false;
  }

  Image &image_;
  Bytes &model_;
  std::mt19937_64 random_;
  const uint64_t thread_;
};

void work(Image &image, Bytes &model, uint64_t seed, unsigned steps) {
  std::vector<Work> all;
  for (unsigned t = 0; t < 4; ++t) all.emplace_back(image, model, t, seed);
  {
    std::vector<std::jthread> pool;
    for (auto &one : all) pool.emplace_back([&] { one.run(steps); });
  }
  for (auto &one : all) CHECK(one.right);
}

// What extents call zero is zero, without gaps between them.
void check_extents(const Image &image, const Bytes &model) {
  uint64_t at = 0;
  image.extents({0, model.size()}, [&](const extents::Extent &e) {
    CHECK(e.offset == at);
    at = e.end();
    if ((e.type & extents::zero) == 0) return true;
    CHECK(util::is_zero(std::span(model).subspan(e.offset, e.length)));
    return true;
  });
  CHECK(at == model.size());
}

// The disk as another program sees it.
Bytes read_again(const std::string &path) {
  Settings settings;
  settings.path = path;
  settings.lock = false;
  auto layer = open_read_only(settings);
  return read_part(*layer, 0, layer->size());
}

}  // namespace

TEST_CASE("sessions end with some of what they wrote zeroed, and nothing of the others is lost",
          "[single]") {
  constexpr uint64_t clusters = 64;
  for (uint64_t cluster : {4096u, 65536u}) {
    Directory directory;
    std::string path = directory.file("a");
    Bytes model(clusters * cluster);
    auto image = open_compressed(path, model.size(), cluster, CompressionType::zstd);
    std::mt19937_64 random(cluster);
    for (int session = 0; session < 30; ++session) {
      INFO(cluster << " " << session);
      uint64_t at = 0;
      for (uint64_t writes = random() % 4; writes > 0; --writes) {
        at = random() % clusters * cluster;
        Bytes data = random() % 2 == 0 ? text(cluster, random()) : noise(cluster, random());
        image->write(data, at);
        std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
      }
      if (random() % 2 == 0) {  // what is at the end of the file
        image->zero(at, cluster);
        std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), cluster, std::byte{0});
      }
      image->finalise();
      CHECK((read_again(path) == model));
    }
    image.reset();
    CHECK(check(path) == 0);
  }
}

TEST_CASE("four threads write a compressed disk, and it is what they wrote") {
  Directory directory;
  std::string base = directory.file("base");
  write_file(base, text(1000003, 1));
  unsigned round = 0;
  for (auto [cluster, size] :
       {std::pair{512u, 1501u << 9}, {65536u, 8193u << 9}, {1u << 20, 29u << 20}}) {
    if (testing::sanitized && cluster > 65536) continue;  // many bytes, and no other code
    for (bool over : {false, true}) {
      if (!over && cluster > 65536) continue;
      auto type = ++round % 2 == 0 ? CompressionType::zlib : CompressionType::zstd;
      INFO(cluster << over << name_of(type));
      std::string path = directory.file(std::to_string(round));
      Bytes model = over ? load_file(base) : Bytes();
      model.resize(size);
      auto image = open_compressed(path, size, cluster, type, 1, over ? base : "");
      for (unsigned again = 0; again < 2; ++again) {
        work(*image, model, round * 10 + again, testing::rounds(cluster > 65536 ? 10 : 60));
        CHECK(testing::equal(read_all(*image), model));
        check_extents(*image, model);
        if (again == 0) image->finalise();  // writing continues after it
      }
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      CHECK(count(path).compressed > 0);
      image = open_compressed(path, 0, 0, type);  // appended to
      CHECK(testing::equal(read_all(*image), model));
      work(*image, model, round, 10);
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      image = reopen(path);  // and written over without compression
      work(*image, model, round + 1, 10);
      CHECK(testing::equal(read_all(*image), model));
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      write_file(path + ".model", model);
      CHECK(std::system(
                ("qemu-img compare -q -f raw -F qcow2 " + path + ".model " + path).c_str()) == 0);
      std::filesystem::remove(path);
      std::filesystem::remove(path + ".model");
    }
  }
}
