// SPDX-License-Identifier: BSD-3-Clause
//
// Images that are written compressed, against a model: an array of bytes.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "plugins/qcow2/tables/table_check.hpp"
#include "tests/unit/qcow2/support.hpp"

using namespace qcow2;
using namespace qcow2::test;

namespace {

using Bytes = std::vector<std::byte>;

std::unique_ptr<Image> open_compressed(const std::string &path, uint64_t size,
                                       uint64_t cluster_size, CompressionType type, int level = 1,
                                       const std::string &base = "") {
  Options options;
  options.path = path;
  options.settings.compression = Compression{type, level};
  options.settings.l2_cache_bytes = 1;  // so that it is always full
  options.follow_backing = base.empty();
  if (size > 0) {
    options.size = size;
    options.cluster_size = cluster_size;
  }
  if (!base.empty()) {
    options.backing = base;
    options.backing_format = "raw";
  }
  return open_image(options, util::Log());
}

// Bytes from a supply: to make them one by one would take most of the time, with sanitizers above
// all.
Bytes from(const Bytes &supply, size_t n, uint64_t seed) {
  Bytes bytes(n);
  size_t at = seed % supply.size();
  for (size_t done = 0; done < n; at = 0) {
    size_t piece = std::min(n - done, supply.size() - at);
    std::copy_n(supply.begin() + static_cast<std::ptrdiff_t>(at), piece,
                bytes.begin() + static_cast<std::ptrdiff_t>(done));
    done += piece;
  }
  return bytes;
}

Bytes noise(size_t n, uint64_t seed) {
  static const Bytes supply = random_bytes(1000003, 1);
  return from(supply, n, seed);
}

// What compresses to about a half.
Bytes text(size_t n, uint64_t seed) {
  static const Bytes supply = [] {
    Bytes bytes = random_bytes(1000003, 2);
    make_letters(bytes, 16);
    return bytes;
  }();
  return from(supply, n, seed);
}

struct Counts {
  uint64_t data = 0, compressed = 0, zero = 0;
};
Counts count(const std::string &path) {
  Options options;
  options.path = path;
  options.follow_backing = true;
  options.lock = false;
  auto reader = open_read_only(options);
  const Layer &layer = *reader;
  Counts counts;
  for (uint64_t c = 0; c < layer.geometry.clusters(); ++c) {
    Entry entry = layer.mapping.entry(c);
    if (is_data(entry)) ++counts.data;
    if (is_compressed(entry)) ++counts.compressed;
    if (reads_zero(entry)) ++counts.zero;
  }
  return counts;
}

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
    Bytes back(n);
    image_.read(back, at);
    if (!std::equal(back.begin(), back.end(), model_.begin() + static_cast<std::ptrdiff_t>(at))) {
      right = false;
    }
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
    bool zeroes = std::all_of(model.begin() + static_cast<std::ptrdiff_t>(e.offset),
                              model.begin() + static_cast<std::ptrdiff_t>(e.end()),
                              [](std::byte b) { return b == std::byte{0}; });
    CHECK(zeroes);
    return true;
  });
  CHECK(at == model.size());
}

}  // namespace

TEST_CASE("four threads write a compressed disk, and it is what they wrote") {
  Directory directory;
  std::string base = directory.file("base");
  write_file(base, text(1000003, 1));
  unsigned round = 0;
  for (auto [cluster, size] :
       {std::pair{512u, 1501u << 9}, {65536u, 8193u << 9}, {1u << 20, 40u << 20}}) {
    for (bool over : {false, true}) {
      auto type = ++round % 2 == 0 ? CompressionType::zlib : CompressionType::zstd;
      INFO(cluster << over << name_of(type));
      std::string path = directory.file(std::to_string(round));
      Bytes model = over ? load_file(base) : Bytes();
      model.resize(size);
      auto image = open_compressed(path, size, cluster, type, 1, over ? base : "");
      for (unsigned again = 0; again < 3; ++again) {
        work(*image, model, round * 10 + again, cluster > 65536 ? 10 : 60);
        CHECK((read_all(*image) == model));
        check_extents(*image, model);
        if (again == 1) image->finalise();  // goes on after it
      }
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      if (!over) CHECK(count(path).compressed > 0);
      image = open_compressed(path, 0, 0, type);  // appended to
      CHECK((read_all(*image) == model));
      work(*image, model, round, 10);
      image->finalise();
      image.reset();
      CHECK(check(path) == 0);
      image = reopen(path);  // and written over without compression
      work(*image, model, round + 1, 10);
      CHECK((read_all(*image) == model));
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

TEST_CASE("whole clusters are compressed, noise is stored as it is, zeroes stay zero clusters") {
  Directory directory;
  std::string path = directory.file("a");
  auto image = open_compressed(path, 1 << 20, 65536, CompressionType::zstd);
  image->write(text(300000, 1), 0);
  image->write(random_bytes(131072, 1), 6 * 65536);
  image->write(Bytes(65536), 0);
  image->finalise();
  image.reset();
  Counts counts = count(path);
  CHECK(counts.compressed == 4);  // of five, the last in part: what was zeroed is one
  CHECK(counts.data == 2);
  CHECK(counts.zero == 1);
  CHECK(std::filesystem::file_size(path) < 13 * 65536);
  CHECK(check(path) == 0);
}

TEST_CASE("small writes in order become whole compressed clusters") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes data = text(2 << 20, 4);
  auto image = open_compressed(path, 2 << 20, 65536, CompressionType::zlib);
  for (size_t at = 0; at < data.size(); at += 4096) {
    image->write(std::span(data).subspan(at, 4096), at);
  }
  image->finalise();
  image.reset();
  CHECK(count(path).compressed == 32);
  CHECK(std::filesystem::file_size(path) < (2 << 20) * 6 / 10 + 8 * 65536);
}

TEST_CASE("writes that are flushed one by one do not let the file grow without bounds") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes data = text(1 << 20, 4);
  auto image = open_compressed(path, 1 << 20, 65536, CompressionType::zstd);
  for (size_t at = 0; at < data.size(); at += 4096) {
    image->write(std::span(data).subspan(at, 4096), at);
    image->flush();
  }
  CHECK((read_all(*image) == data));
  image->finalise();
  image.reset();
  CHECK(std::filesystem::file_size(path) < 4 << 20);
  CHECK(check(path) == 0);
}

TEST_CASE("more parts than there is memory for are completed, oldest first") {
  Directory directory;
  std::string path = directory.file("a"), base = directory.file("base");
  Bytes model = text(24 << 20, 1);
  write_file(base, model);
  auto image = open_compressed(path, model.size(), 65536, CompressionType::zstd, 1, base);
  for (size_t round = 0; round < 2; ++round) {
    for (size_t c = 0; c < 384; ++c) {
      Bytes data = random_bytes(100, c + round);
      size_t at = c * 65536 + 1000 * round + 50;
      image->write(data, at);
      std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  CHECK((read_all(*image) == model));
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK(count(path).data + count(path).compressed == 384);
}

TEST_CASE("what was flushed is there after a crash, parts of clusters too") {
  Directory directory;
  std::string path = directory.file("a");
  for (auto type : {CompressionType::zlib, CompressionType::zstd}) {
    std::filesystem::remove(path);
    auto image = open_compressed(path, 8 << 20, 65536, type);
    Bytes data = text(3000000, 3);
    image->write(data, 12345);
    image->flush();
    image->write(text(2 << 20, 5), 5 << 20);
    std::string crashed = directory.file("crashed"), repaired = directory.file("repaired");
    auto over = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(path, crashed, over);
    std::filesystem::copy_file(path, repaired, over);
    CHECK(check(repaired, "-r all") == 0);
    for (const std::string &file : {crashed, repaired}) {
      auto again = open_compressed(file, 0, 0, type);
      Bytes read(data.size());
      again->read(read, 12345);
      CHECK((read == data));
      again->write(data, 100);
      again->finalise();
      again.reset();
      CHECK(check(file) == 0);
    }
    image.reset();
  }
}

TEST_CASE("refcounts of every width count what is shared, or limit it") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 7);
  for (size_t i = 0; i < model.size() / 2; ++i) model[i] = std::byte('a' + i / 4096 % 20);
  for (unsigned bits : {1, 2, 4, 8, 16, 32, 64}) {
    INFO("refcounts of " << bits << " bits");
    REQUIRE(std::system(("qemu-img create -q -f qcow2 -o cluster_size=4k,refcount_bits=" +
                         std::to_string(bits) + " " + path + " 1M")
                            .c_str()) == 0);
    auto image = open_compressed(path, 0, 0, CompressionType::zlib);
    image->write(model, 0);
    image->finalise();
    image->write(std::span(model).first(100000), 4096);
    std::copy_n(Bytes(model).begin(), 100000, model.begin() + 4096);
    image->flush();
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
    CHECK(count(path).compressed > 200);
    image = reopen(path);
    CHECK((read_all(*image) == model));
    image->zero(0, 1 << 19);
    image->finalise();
    image.reset();
    CHECK(check(path) == 0);
  }
}

TEST_CASE("the space that compressed clusters have left is given back when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  auto blocks = [&] {
    struct stat st;
    REQUIRE(::stat(path.c_str(), &st) == 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  };
  Bytes model = text(8 << 20, 1);
  auto image = open_compressed(path, 8 << 20, 65536, CompressionType::zstd);
  image->write(model, 0);
  image->finalise();
  uint64_t before = blocks();
  CHECK(before > 3 << 20);
  image->zero(0, 7 << 20);  // what is left is at the end of the file
  std::fill_n(model.begin(), 7 << 20, std::byte{0});
  image->flush();
  CHECK(blocks() + (1 << 20) > before);
  image->finalise();
  CHECK(blocks() < before / 4);
  CHECK((read_all(*image) == model));
  image->write(std::span(model).last(1 << 20), 0);  // goes on
  std::copy_n(model.end() - (1 << 20), 1 << 20, model.begin());
  image->finalise();
  image.reset();
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}

TEST_CASE("a COPIED bit on a compressed cluster is taken away when the image is closed") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 1);
  auto image = open_compressed(path, 1 << 20, 65536, CompressionType::zlib);
  image->write(model, 0);
  image->finalise();
  image.reset();
  Options options;
  options.path = path;
  uint64_t table = host_offset(open_read_only(options)->mapping.l1().value(0));
  Bytes file = load_file(path);
  file[table] |= std::byte{0x80};
  write_file(path, file);
  image = open_compressed(path, 0, 0, CompressionType::zlib);
  CHECK((read_all(*image) == model));
  image->zero(15 * 65536, 65536);
  std::fill(model.end() - 65536, model.end(), std::byte{0});
  image->finalise();
  image.reset();
  CHECK((load_file(path)[table] & std::byte{0xc0}) == std::byte{0x40});
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}

TEST_CASE("what is shared is counted in a file with more clusters than are counted at a time") {
  Directory directory;
  std::string path = directory.file("a");
  Bytes model = text(1 << 20, 1);
  for (size_t i = 0; i < model.size(); ++i) model[i] = std::byte('a' + i / 512 % 20);
  auto half = std::span(model).first(model.size() / 2);
  auto image = open_compressed(path, model.size(), 512, CompressionType::zstd);
  image->write(half, 0);
  image->finalise();
  image.reset();
  std::filesystem::resize_file(path, uint64_t{9 << 20} * 512);  // a long hole
  image = open_compressed(path, 0, 0, CompressionType::zstd);
  image->write(std::span(model).last(model.size() / 2), model.size() / 2);
  image->finalise();
  image.reset();
  CHECK(std::filesystem::file_size(path) > uint64_t{9 << 20} * 512);
  CHECK(count(path).compressed == 2048);
  CHECK(check(path) == 0);
  CHECK((read_all(*reopen(path)) == model));
}
