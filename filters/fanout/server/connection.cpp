// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/connection.hpp"

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

}  // namespace

bool means_lost(int errnum) {
  return errnum == ENOTCONN || errnum == ETIMEDOUT || errnum == ESHUTDOWN || errnum == ECONNRESET ||
         errnum == EPIPE;
}

Link::Link(const Settings &settings, std::unique_ptr<Target> target, Counters &counters)
    : settings_(settings),
      counters_(counters),
      limiter_(settings.concurrency, settings.rate),
      target_(std::move(target)) {}

// Of a payload: what the server takes, and with a limit of the rate no more than that allows in a
// quarter of a second, in whole blocks.
uint64_t Link::largest() const {
  uint64_t most = info().maximum_block;
  if (settings_.rate == 0) return most;
  uint64_t grain = std::max<uint64_t>(info().minimum_block, 4096);
  return std::min(most, std::max(grain, settings_.rate / 4 / grain * grain));
}

void Link::write(Gather &gather, Outcome &outcome, std::span<const std::byte> buffer,
                 uint64_t offset, bool fua) {
  while (!buffer.empty()) {
    auto part = buffer.first(std::min<size_t>(buffer.size(), largest()));
    submit({Operation::write, part.data(), nullptr, part.size(), offset, fua_flag(fua), &gather,
            &outcome});
    buffer = buffer.subspan(part.size());
    offset += part.size();
  }
}

void Link::zero(Gather &gather, Outcome &outcome, uint64_t count, uint64_t offset, uint32_t flags,
                bool fua) {
  bool native = info().can_zero;
  uint64_t step = native ? largest_zero : std::min<uint64_t>(zeroes_size, largest());
  while (count > 0) {
    uint64_t part = std::min(step, count);
    submit({Operation::zero, native ? nullptr : zeroes, nullptr, part, offset,
            (native ? flags : 0) | fua_flag(fua), &gather, &outcome});
    count -= part;
    offset += part;
  }
}

void Link::flush(Gather &gather, Outcome &outcome) {
  if (!info().can_flush) return;
  submit({Operation::flush, nullptr, nullptr, 0, 0, 0, &gather, &outcome});
}

void Link::read(Gather &gather, Outcome &outcome, std::span<std::byte> buffer, uint64_t offset) {
  while (!buffer.empty()) {
    auto part = buffer.first(std::min<size_t>(buffer.size(), largest()));
    submit({Operation::read, nullptr, part.data(), part.size(), offset, 0, &gather, &outcome});
    buffer = buffer.subspan(part.size());
    offset += part.size();
  }
}

void Link::give_up() {
  given_up_ = true;
  limiter_.break_up();
}

void Link::submit(const Piece &piece) {
  piece.gather->add();
  bool payload = piece.data != nullptr || piece.into != nullptr;
  limiter_.acquire(
      [this, piece](bool granted) {
        if (granted) return issue(piece);
        fail(piece, given_up_ ? ECANCELED : ENOTCONN);
        piece.gather->done();
      },
      payload ? piece.count : 0);
}

void Link::issue(const Piece &piece) {
  ++counters_.in_flight;
  if (dead()) return completed(piece, ENOTCONN);
  auto done = [this, piece](int errnum) { completed(piece, errnum); };
  if (piece.operation == Operation::flush) {
    target_->flush(done);
  } else if (piece.operation == Operation::read) {
    target_->pread({piece.into, piece.count}, piece.offset, done);
  } else if (piece.data != nullptr) {
    target_->pwrite({piece.data, piece.count}, piece.offset, piece.flags, done);
  } else {
    target_->zero(piece.count, piece.offset, piece.flags, done);
  }
}

void Link::completed(const Piece &piece, int errnum) {
  --counters_.in_flight;
  if (errnum != 0) {
    fail(piece, errnum);
    if (means_lost(errnum) && !dead_.exchange(true)) limiter_.break_up();
  } else {
    ++counters_.requests;
    if (piece.operation == Operation::write) counters_.bytes += piece.count;
    if (piece.operation == Operation::zero) counters_.zero_bytes += piece.count;
  }
  Gather *gather = piece.gather;  // `piece` may go with the unit
  limiter_.release();
  gather->done();
}

void Link::fail(const Piece &piece, int errnum) {
  static constexpr const char *names[] = {"write", "zero", "flush", "read"};
  const char *name = names[static_cast<size_t>(piece.operation)];
  std::string what =
      piece.operation == Operation::flush
          ? "cannot flush"
          : fmt::format("cannot {} {} bytes at offset {}", name, piece.count, piece.offset);
  std::string why = errnum == ETIMEDOUT
                        ? fmt::format("no answer within {:g} s (fanout-timeout)",
                                      static_cast<double>(settings_.request_timeout.count()) / 1000)
                    : errnum == ENOTCONN ? "the connection was lost"
                                         : std::string(std::strerror(errnum));
  piece.outcome->fail(errnum, what + ": " + why);
}

}  // namespace fanout
