// SPDX-License-Identifier: BSD-3-Clause
//
// A destination of some blocks, and the digests that are recorded of it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/replication/image_identity.hpp"
#include "filters/apply/digests/digest_recorder.hpp"
#include "tests/unit/apply/fakes.hpp"
#include "tests/unit/bytes.hpp"

namespace apply {

inline constexpr uint64_t block = digests::block_bytes;  // FakeDestination::block is another one

// Remembers what is read of it. With `rots` it keeps something else than it was sent.
class RecordedDestination : public FakeDestination {
 public:
  using FakeDestination::FakeDestination;
  void write(std::span<const std::byte> buffer, uint64_t offset, bool fua) override {
    FakeDestination::write(buffer, offset, fua);
    if (rots) now[offset] ^= std::byte{1};
  }
  void read(std::span<std::byte> buffer, uint64_t offset) override {
    FakeDestination::read(buffer, offset);
    std::lock_guard guard(reads_lock_);
    reads_.push_back({offset, buffer.size()});
  }
  // The blocks that were read since the last call, in order.
  std::vector<uint64_t> blocks_read() {
    std::lock_guard guard(reads_lock_);
    std::vector<uint64_t> blocks;
    for (const extents::Range &read : std::exchange(reads_, {})) {
      for (uint64_t at = read.offset; at < read.end(); at += apply::block) {
        blocks.push_back(at / apply::block);
      }
    }
    std::sort(blocks.begin(), blocks.end());
    return blocks;
  }
  bool rots = false;

 private:
  std::mutex reads_lock_;
  std::vector<extents::Range> reads_;
};

// Runs of the filter with one destination, as far as its digests are concerned.
struct Recorded {
  explicit Recorded(uint64_t size)
      : destination(testing::random_bytes(size, 1)), map(size, extents::hole | extents::zero) {}

  // A run from one checkpoint to the next. `delta`: what it may change.
  void start(const std::string &held, const std::string &checkpoint,
             const std::vector<extents::Range> &ranges) {
    recorder.reset();
    map = extents::ExtentMap(destination.now.size(), extents::hole | extents::zero);
    for (const extents::Range &range : ranges) map.set(range, extents::data);
    delta = std::make_unique<DeltaMap>(map);
    recorder = std::make_unique<DigestRecorder>(path, parent, *delta, held, checkpoint, log());
    recorder->begin(destination);
  }
  void write(extents::Range range, uint64_t seed) {
    const auto bytes = testing::random_bytes(range.length, seed);
    DigestRecorder::Request request(recorder.get(), range);
    destination.write(bytes, range.offset, false);
    request.wrote(bytes);
  }
  void zero(extents::Range range) {
    DigestRecorder::Request request(recorder.get(), range);
    destination.zero(range, {});
    request.zeroed();
  }
  bool complete(unsigned threads = 0) {
    return recorder->complete(destination, threads, [] { return false; });
  }

  // Whether FILE is complete, and has the digests of what the destination holds.
  bool right(const std::string &checkpoint) const {
    auto file = digests::DigestFile::open(path, "");
    if (!file || !file->header().complete || file->header().checkpoint != checkpoint) return false;
    return file->header().size == destination.now.size() && differing(*file).empty();
  }
  std::vector<uint64_t> differing(const digests::DigestFile &file) const {
    const digests::Hasher hasher(file.header().key);
    std::vector<digests::Digest> digests(file.header().blocks());
    file.read(0, digests);
    std::vector<uint64_t> blocks;
    for (uint64_t i = 0; i < digests.size(); ++i) {
      const uint64_t length = std::min(block, destination.now.size() - i * block);
      if (hasher(std::span(destination.now).subspan(i * block, length)) != digests[i])
        blocks.push_back(i);
    }
    return blocks;
  }
  util::Log log() {
    return util::Log([this](util::Level level, const std::string &line) {
      std::lock_guard guard(lines_lock);
      if (level == util::Level::warning) warnings.push_back(line);
    });
  }
  static std::string identity(const std::string &uuid, std::vector<std::string> below = {}) {
    return replication::format({.uuid = uuid, .below = std::move(below)});
  }

  Directory directory;
  std::string path = directory.file("tuesday.digests");
  std::string parent = {};
  RecordedDestination destination;
  extents::ExtentMap map;
  std::unique_ptr<DeltaMap> delta;
  std::unique_ptr<DigestRecorder> recorder;
  std::mutex lines_lock;
  std::vector<std::string> warnings;
};

}  // namespace apply
