// SPDX-License-Identifier: BSD-3-Clause
//
// The layer below, as one connection reaches it. A part of the door.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "common/nbdkit/next.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/disk/local_disk.hpp"
#include "filters/pull/pull_server.hpp"

namespace pull {

// Asks the layer below once what it can do: nbdkit wants each question before its use. `serial` is held for each
// request; nothing if the layer takes several at a time. The background's connection bypasses nbdkit's own locks.
class NextLayer : public LocalDisk {
 public:
  struct Abilities {
    explicit Abilities(nbdkit::Next next)
        : write(next.can_write()),
          flush(next.can_flush()),
          zero(write && next.can_zero() != nbdkit::Zero::none),
          native_zero(write && next.can_zero() == nbdkit::Zero::native),
          fast_zero(zero && next.can_fast_zero()),
          native_fua(write && next.can_fua() == nbdkit::Fua::native),
          multi_conn(next.can_multi_conn()),
          extents(next.can_extents()),
          minimum_block(std::max(next.block_size().minimum, 1u)) {}
    bool write, flush, zero, native_zero, fast_zero, native_fua, multi_conn, extents;
    uint32_t minimum_block;
  };

  NextLayer(nbdkit::Next next, util::Mutex *serial) : next_(next), serial_(serial), can_(next) {}
  const Abilities &can() const { return can_; }
  PullServer::Below below() const {
    return {next_.get_size(), can_.minimum_block, can_.write, can_.multi_conn || !can_.flush,
            next_.export_description()};
  }

  void read(std::span<std::byte> buffer, uint64_t offset) override {
    auto lock = one_at_a_time();
    next_.pread(buffer, offset);
  }

  void write(std::span<const std::byte> buffer, uint64_t offset, bool durable) override {
    auto lock = one_at_a_time();
    next_.pwrite(buffer, offset, fua(durable));
    flush_instead_of_fua(durable);
  }

  // In steps of 32 MiB: nbdkit 1.32 zeroes only the first 64 MiB for a plugin that cannot zero.
  void zero(extents::Range range, Hole hole, bool durable) override {
    constexpr uint64_t most = 32u << 20;
    for (uint64_t at = range.offset; at < range.end();) {
      auto lock = one_at_a_time();
      const uint64_t count = std::min(can_.zero ? most : zeroes.size(), range.end() - at);
      if (can_.zero) {
        next_.zero(static_cast<uint32_t>(count), at, may_trim(hole) | fua(durable));
      } else {
        next_.pwrite(std::span(zeroes).first(count), at, fua(durable));
      }
      at += count;
    }
    auto lock = one_at_a_time();
    flush_instead_of_fua(durable);
  }

  void fast_zero(extents::Range range, Hole hole) override {
    auto lock = one_at_a_time();
    next_.zero(static_cast<uint32_t>(range.length), range.offset,
               may_trim(hole) | NBDKIT_FLAG_FAST_ZERO);
  }

  void flush() override {
    auto lock = one_at_a_time();
    if (can_.flush) next_.flush();
  }

  std::vector<extents::Extent> extents(extents::Range range) override {
    if (!can_.extents) return {{range.offset, range.length, extents::data}};
    auto lock = one_at_a_time();
    constexpr uint64_t most = 1u << 31;
    return next_.extents(static_cast<uint32_t>(std::min(range.length, most)), range.offset);
  }

 private:
  std::unique_lock<util::Mutex> one_at_a_time() const {
    return serial_ == nullptr ? std::unique_lock<util::Mutex>()
                              : std::unique_lock<util::Mutex>(*serial_);
  }
  static uint32_t may_trim(Hole hole) { return hole == Hole::allowed ? NBDKIT_FLAG_MAY_TRIM : 0; }
  uint32_t fua(bool durable) const { return durable && can_.native_fua ? NBDKIT_FLAG_FUA : 0; }
  void flush_instead_of_fua(bool durable) const {
    if (durable && !can_.native_fua && can_.flush) next_.flush();
  }

  static constexpr std::array<std::byte, 1u << 18> zeroes{};
  nbdkit::Next next_;
  util::Mutex *const serial_;  // guards the layer below
  const Abilities can_;
};

// A connection of the background's own: without a client, and so without an export name.
class BackgroundLayer {
 public:
  BackgroundLayer(nbdkit::Backend backend) : connection_(backend, false, "") {}

 protected:
  nbdkit::BackgroundNext connection_;
};
class BackgroundDisk : private BackgroundLayer, public NextLayer {
 public:
  // `all` is held for each request of all connections, where the thread model requires that.
  BackgroundDisk(nbdkit::Backend backend, int thread_model, util::Mutex &all)
      : BackgroundLayer(backend),
        NextLayer(connection_.next(), thread_model == NBDKIT_THREAD_MODEL_PARALLEL ? nullptr
                                      : thread_model == NBDKIT_THREAD_MODEL_SERIALIZE_REQUESTS
                                          ? &own_
                                          : &all) {}

 private:
  util::Mutex own_;
};

}  // namespace pull
