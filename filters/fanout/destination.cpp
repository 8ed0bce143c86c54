// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

namespace {

// A zero request has no payload, but nbdkit 1.32 as the server zeroes only the first 64 MiB of one
// whose plugin cannot zero, and says that it was all.
constexpr uint64_t largest_zero = 32u << 20;

constexpr size_t zeroes_size = 1u << 20;
alignas(4096) const std::byte zeroes[zeroes_size] = {};

// NBD's errors are few, and the rest reach the client as "invalid argument": the lost connection of
// another server is an I/O error to it.
int for_client(int errnum) {
  return errnum == ENOTCONN || errnum == ETIMEDOUT || errnum == ECONNRESET ? EIO : errnum;
}

}  // namespace

Destination::Destination(const Settings &settings, std::unique_ptr<Target> target,
                         Counters &counters)
    : settings_(settings),
      counters_(counters),
      limiter_(settings.concurrency),
      target_(std::move(target)) {}

void Destination::write(Gather &gather, std::span<const std::byte> buffer, uint64_t offset,
                        bool fua) {
  while (!buffer.empty()) {
    auto part = buffer.first(std::min<size_t>(buffer.size(), info().maximum_block));
    submit({Operation::write, part.data(), part.size(), offset, fua_flag(fua), &gather});
    buffer = buffer.subspan(part.size());
    offset += part.size();
  }
}

void Destination::zero(Gather &gather, uint64_t count, uint64_t offset, uint32_t flags, bool fua) {
  bool native = info().can_zero;
  uint64_t step = native ? largest_zero : std::min<uint64_t>(zeroes_size, info().maximum_block);
  while (count > 0) {
    uint64_t part = std::min(step, count);
    submit({Operation::zero, native ? nullptr : zeroes, part, offset,
            (native ? flags : 0) | fua_flag(fua), &gather});
    count -= part;
    offset += part;
  }
}

void Destination::flush(Gather &gather) {
  if (info().can_flush) submit({Operation::flush, nullptr, 0, 0, 0, &gather});
}

void Destination::submit(const Piece &piece) {
  piece.gather->add();
  limiter_.acquire([this, piece](bool granted) {
    if (granted) {
      issue(piece);
    } else {
      piece.gather->done();
    }
  });
}

void Destination::issue(const Piece &piece) {
  ++counters_.in_flight;
  // One connection lost is all lost: what was acknowledged there may not have been flushed.
  if (failed_ || target_->dead()) return completed(piece, ENOTCONN);
  auto done = [this, piece](int errnum) { completed(piece, errnum); };
  if (piece.operation == Operation::flush) {
    target_->flush(done);
  } else if (piece.data != nullptr) {
    target_->pwrite({piece.data, piece.count}, piece.offset, piece.flags, done);
  } else {
    target_->zero(piece.count, piece.offset, piece.flags, done);
  }
}

void Destination::completed(const Piece &piece, int errnum) {
  --counters_.in_flight;
  if (errnum != 0) {
    fail(piece, errnum);
  } else {
    ++counters_.requests;
    if (piece.operation == Operation::write) counters_.bytes += piece.count;
    if (piece.operation == Operation::zero) counters_.zero_bytes += piece.count;
  }
  Gather *gather = piece.gather;  // `piece` may go with the unit
  limiter_.release();
  gather->done();
}

void Destination::fail(const Piece &piece, int errnum) {
  {
    std::lock_guard guard(lock_);
    if (failed_) return;
    std::string what = piece.operation == Operation::flush
                           ? "cannot flush"
                           : fmt::format("cannot {} {} bytes at offset {}",
                                         piece.operation == Operation::write ? "write" : "zero",
                                         piece.count, piece.offset);
    std::string why =
        errnum == ETIMEDOUT
            ? fmt::format("no answer within {:g} s (fanout-timeout)",
                          static_cast<double>(settings_.request_timeout.count()) / 1000)
        : errnum == ENOTCONN ? "the connection was lost"
                             : std::string(std::strerror(errnum));
    failure_ = fmt::format(
        "{}: {}: {}: this destination is no longer a copy of the primary; see to that server, then "
        "run the copy again",
        settings_.name, what, why);
    errnum_ = for_client(errnum);
    failed_ = true;
  }
  limiter_.break_up();
}

void Destination::check() const {
  if (!failed_) return;
  std::lock_guard guard(lock_);
  throw util::Error(errnum_, failure_);
}

}  // namespace fanout
