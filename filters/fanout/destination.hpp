// SPDX-License-Identifier: BSD-3-Clause
//
// One destination: its server, its limit, its counters, and how it failed, if it did.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "filters/fanout/counters.hpp"
#include "filters/fanout/gather.hpp"
#include "filters/fanout/limiter.hpp"
#include "filters/fanout/settings.hpp"
#include "filters/fanout/target.hpp"

namespace fanout {

// The submitting methods may be called from any thread. They do not block and do not throw: each
// request becomes one or more of the server's size, added to the Gather and done there. What became
// of them check() tells. Buffers live until then.
class Destination {
 public:
  // `counters` must outlive it.
  Destination(const Settings &settings, std::unique_ptr<Target> target, Counters &counters);

  void write(Gather &gather, std::span<const std::byte> buffer, uint64_t offset, bool fua);
  // `flags`: nbd::no_hole. A server that cannot zero is sent zeroes.
  void zero(Gather &gather, uint64_t count, uint64_t offset, uint32_t flags, bool fua);
  void flush(Gather &gather);

  // Throws util::Error, with the name and what happened, once anything has failed: from then on the
  // destination is not what the primary is, and nothing further is sent.
  void check() const;

  const std::string &name() const { return settings_.name; }
  const nbd::Info &info() const { return target_->info(); }
  const Counters &counters() const { return counters_; }

 private:
  enum class Operation { write, zero, flush };
  struct Piece {
    Operation operation;
    const std::byte *data;
    uint64_t count;
    uint64_t offset;
    uint32_t flags;
    Gather *gather;
  };

  void submit(const Piece &piece);
  void issue(const Piece &piece);
  void completed(const Piece &piece, int errnum);
  void fail(const Piece &piece, int errnum);
  uint32_t fua_flag(bool fua) const { return fua && info().can_fua ? uint32_t{nbd::fua} : 0; }

  const Settings settings_;
  Counters &counters_;
  Limiter limiter_;

  mutable std::mutex lock_;  // protects failure_ and errnum_ until failed_ is set; then they stay
  std::string failure_;
  int errnum_ = 0;
  std::atomic<bool> failed_ = false;

  std::unique_ptr<Target> target_;  // last: its threads complete requests, and end first
};

}  // namespace fanout
