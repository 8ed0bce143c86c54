// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/digests/unknown_blocks.hpp"

#include <algorithm>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

namespace apply {

using digests::block_bytes;
using digests::Digest;
using extents::Range;

namespace {

constexpr uint64_t chunk_blocks = 256;  // what one thread does at a time
constexpr uint64_t read_blocks = 16;    // 1 MiB: DiskBytes::read takes no more

}  // namespace

bool UnknownBlocks::compute(DestinationDisk &destination, unsigned threads,
                            const std::function<bool()> &stop) {
  const uint64_t chunks = recording_.size / (chunk_blocks * block_bytes) + 1;
  {
    std::vector<std::jthread> helpers;
    while (helpers.size() < std::min<uint64_t>(threads, chunks - 1)) {
      try {
        helpers.emplace_back([&] { work(destination, [this] { return stopped_.load(); }); });
      } catch (const std::system_error &) {  // as many as the system lets us have
        break;
      }
    }
    work(destination, stop);
  }
  util::MutexLock lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  return !stopped_;
}

void UnknownBlocks::work(DestinationDisk &destination, const std::function<bool()> &stop) noexcept {
  const uint64_t blocks = recording_.files.file().header().blocks();
  try {
    DestinationBytes bytes(destination);
    while (!stopped_) {
      const uint64_t first = next_.fetch_add(chunk_blocks);
      if (first >= blocks) return;
      if (!compute({first, std::min(first + chunk_blocks, blocks)}, bytes, stop)) stopped_ = true;
    }
  } catch (...) {
    util::MutexLock lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    stopped_ = true;
  }
}

bool UnknownBlocks::compute(BlockRange blocks, DestinationBytes &destination,
                            const std::function<bool()> &stop) {
  if (stop()) return false;
  const uint64_t n = blocks.end - blocks.first;
  const std::vector<bool> known = recording_.known.get(blocks);
  const std::vector<bool> base = recording_.files.unchanged(blocks.first, n);
  std::vector<Digest> digests(n);
  if (std::find(base.begin(), base.end(), true) != base.end()) {
    const uint64_t there = recording_.files.base()->header().blocks() - blocks.first;
    recording_.files.base()->read(blocks.first, std::span(digests).first(std::min(n, there)));
  }
  std::vector<std::byte> buffer;
  uint64_t from_base = 0, read = 0;
  for (uint64_t i = 0; i < n; ++i) {
    if (known[i]) continue;
    if (base[i]) {
      ++from_base;
      continue;
    }
    uint64_t end = i + 1;
    while (end < n && end - i < read_blocks && !known[end] && !base[end]) ++end;
    if (stop()) return false;
    const uint64_t offset = block_of(blocks.first + i, recording_.size).offset;
    buffer.resize(block_of(blocks.first + end - 1, recording_.size).end() - offset);
    const DiskRead one{offset, buffer};
    destination.read({&one, 1});
    read += end - i;
    for (std::span<const std::byte> left(buffer); !left.empty(); ++i) {
      const auto block = left.first(std::min<size_t>(left.size(), block_bytes));
      digests[i] = recording_.hasher(block);
      left = left.subspan(block.size());
    }
    --i;
  }
  // Those of known blocks are in the file.
  for (uint64_t i = 0; i < n;) {
    uint64_t end = i;
    while (end < n && !known[end]) ++end;
    if (end > i) {
      recording_.files.file().write(blocks.first + i, std::span(digests).subspan(i, end - i));
      recording_.known.set({blocks.first + i, blocks.first + end});
    }
    i = end + 1;
  }
  from_base_ += from_base;
  read_ += read;
  return true;
}

}  // namespace apply
