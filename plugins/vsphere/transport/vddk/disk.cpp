// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/disk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "plugins/vsphere/transport/vddk/allocated_blocks.hpp"

namespace vsphere::vddk {

namespace {

// What the request itself is to blame for will not pass.
bool is_passing(uint64_t code) {
  return code != vix_invalid_argument && code != vix_not_supported && code != vix_file_access;
}

// A request and where its data is to go.
struct Piece {
  Worker::Slot slot;
  std::span<std::byte> to;
  size_t skip;  // bytes of the first sector that were not asked for
};

}  // namespace

VddkDisk::VddkDisk(DiskSettings settings, const util::Log &log)
    : settings_(std::move(settings)), log_(log) {
  worker();
  opened_ = true;
}

std::shared_ptr<Worker> VddkDisk::current() const {
  std::lock_guard lock(mutex_);
  return worker_ && !worker_->dead() ? worker_ : nullptr;
}

std::shared_ptr<Worker> VddkDisk::worker() {
  if (auto worker = current()) return worker;
  std::lock_guard starting(starting_);
  if (auto worker = current()) return worker;  // another thread has started it meanwhile
  disconnect();                                // the dead one is reaped before the next begins
  std::shared_ptr<Worker> worker;
  try {
    worker =
        std::make_shared<Worker>(settings_.helper, settings_.start(), settings_.deadlines, log_);
    if (worker->sectors() * sector_size < settings_.capacity) {
      throw OpenError(EIO,
                      fmt::format("{}: VDDK sees {} bytes, but the disk has {}", settings_.name,
                                  worker->sectors() * sector_size, settings_.capacity));
    }
  } catch (const util::Error &e) {
    throw TransportError(e.errnum(), fmt::format("transport vddk: {}", e.what()),
                         /*retryable=*/opened_, /*connected=*/opened_);
  }
  std::lock_guard lock(mutex_);
  return worker_ = worker;
}

// Ends a helper whose disk does not get better. Its other requests are finished first.
void VddkDisk::replace(const std::shared_ptr<Worker> &worker) {
  std::lock_guard starting(starting_);
  if (current() == worker) disconnect();
}

void VddkDisk::disconnect() noexcept {
  std::shared_ptr<Worker> gone;
  {
    std::lock_guard lock(mutex_);
    gone.swap(worker_);
  }
  if (!gone) return;
  gone->stop();
  log_.debug("VDDK has read {} bytes of {} in {} requests so far", bytes_.load(), settings_.name,
             requests_.load());
}

std::string VddkDisk::mode() {
  return worker()->mode();
}

void VddkDisk::read(std::span<std::byte> buffer, uint64_t offset) {
  auto what =
      fmt::format("reading {} bytes at offset {} of {}", buffer.size(), offset, settings_.name);
  unsigned failures = 0;
  with_retries(settings_.retry, log_, what, [&] {
    std::shared_ptr<Worker> worker = this->worker();
    try {
      read_from(*worker, buffer, offset);
    } catch (const TransportError &) {
      // Once more with the same handle; then it may be the connection behind it that is broken.
      if (++failures > 1) replace(worker);
      throw;
    }
  });
}

// In pieces of at most a slot, several under way at once. Only without any may one wait for a slot,
// so that two large reads do not wait for each other's.
void VddkDisk::read_from(Worker &worker, std::span<std::byte> buffer, uint64_t offset) {
  std::deque<Piece> under_way;
  auto finish_first = [&] {
    Piece &piece = under_way.front();
    Done done = piece.slot.wait();
    if (done.code != vix_ok) {
      throw TransportError(
          EIO,
          fmt::format("transport vddk: cannot read {} bytes at offset {} of {}: {} (error {})",
                      buffer.size(), offset, settings_.name, done.text, done.code),
          is_passing(done.code), /*connected=*/true);
    }
    ++requests_;
    bytes_ += piece.to.size();
    std::memcpy(piece.to.data(), piece.slot.memory().data() + piece.skip, piece.to.size());
    under_way.pop_front();
  };
  std::span<std::byte> rest = buffer;
  for (uint64_t at = offset; !rest.empty();) {
    std::optional<Worker::Slot> slot = worker.acquire(/*may_wait=*/under_way.empty());
    if (!slot) {
      finish_first();
      continue;
    }
    const size_t skip = at % sector_size;
    const size_t length = std::min(rest.size(), slot_size - skip);
    const uint64_t sectors = (skip + length + sector_size - 1) / sector_size;
    under_way.push_back({std::move(*slot), rest.first(length), skip});
    under_way.back().slot.read(at / sector_size, static_cast<uint32_t>(sectors));
    rest = rest.subspan(length);
    at += length;
  }
  while (!under_way.empty()) finish_first();
}

std::optional<std::vector<extents::Range>> VddkDisk::allocated() {
  std::vector<extents::Range> ranges;
  try {
    with_retries(settings_.retry, log_, "asking VDDK what is allocated on " + settings_.name, [&] {
      std::shared_ptr<Worker> worker = this->worker();
      if (!worker->can_query()) util::fail(ENOTSUP, "this VDDK has no QueryAllocatedBlocks");
      query(*worker, ranges);
    });
    return ranges;
  } catch (const util::Error &e) {
    log_.info("VDDK does not tell what is allocated on {}: {}", settings_.name, e.what());
    return std::nullopt;
  }
}

void VddkDisk::query(Worker &worker, std::vector<extents::Range> &ranges) {
  constexpr uint64_t chunks = slot_size / sizeof(Block);  // so that every answer fits a slot
  static_assert(chunks <= max_chunk_number);
  ranges.clear();
  std::optional<Worker::Slot> slot = worker.acquire(/*may_wait=*/true);
  const Questions all = questions(settings_.capacity / sector_size, min_chunk_size, chunks);
  auto add = [&](std::span<const Block> blocks, Block asked) { add_blocks(ranges, blocks, asked); };
  for (const Block &asked : all.calls) {
    slot->query(asked.offset, asked.length, min_chunk_size);
    Done done = slot->wait();
    if (done.code != vix_ok) util::fail(EIO, "{} (error {})", done.text, done.code);
    if (done.count > chunks) util::fail(EPROTO, "{} blocks in one answer", done.count);
    std::vector<Block> blocks(done.count);
    if (done.count > 0) {
      std::memcpy(blocks.data(), slot->memory().data(), done.count * sizeof(Block));
    }
    add(blocks, asked);
  }
  if (all.tail.length > 0) add({&all.tail, 1}, all.tail);
}

}  // namespace vsphere::vddk
