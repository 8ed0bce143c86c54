// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/server/connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fanout {

namespace {

// A zero request has no payload, but nbdkit 1.32 as the server zeroes only the first 64 MiB of one
// whose plugin cannot zero, and reports success.
constexpr uint64_t largest_zero = 32u << 20;

constexpr size_t zeroes_size = 1u << 20;
alignas(4096) const std::byte zeroes[zeroes_size] = {};

const char *name_of(nbd::Operation operation) {
  switch (operation) {
    case nbd::Operation::write:
      return "write";
    case nbd::Operation::zero:
      return "zero";
    case nbd::Operation::read:
      return "read";
    default:
      return "flush";
  }
}

}  // namespace

bool is_connection_lost(int errnum) {
  return errnum == ENOTCONN || errnum == ETIMEDOUT || errnum == ESHUTDOWN || errnum == ECONNRESET ||
         errnum == EPIPE;
}

void DestinationRequest::completed(int errnum) {
  connection_.complete(*this, errnum);
}
void DestinationRequest::start() {
  connection_.start(*this);
}
void DestinationRequest::reject() {
  connection_.reject(*this);
}

DestinationConnection::DestinationConnection(const DestinationSettings &settings,
                                             std::unique_ptr<Target> target, Counters &counters)
    : settings_(settings),
      counters_(counters),
      limiter_(settings.concurrency, settings.rate),
      target_(std::move(target)) {}

// Bytes of one request: what the server takes; with fanout-rate at most what that allows in a
// quarter of a second, in whole blocks.
uint64_t DestinationConnection::largest_payload() const {
  uint64_t most = info().maximum_block;
  if (settings_.rate == 0) return most;
  uint64_t grain = std::max<uint64_t>(info().minimum_block, 4096);
  return std::min(most, std::max(grain, settings_.rate / 4 / grain * grain));
}

void DestinationConnection::write(DestinationBatch &batch, std::span<const std::byte> buffer,
                                  uint64_t offset, bool fua) {
  while (!buffer.empty()) {
    auto part = buffer.first(std::min<size_t>(buffer.size(), largest_payload()));
    DestinationRequest &request = add(batch, nbd::Operation::write, {offset, part.size()});
    request.data = part.data();
    request.flags = fua_flag(fua);
    submit(request);
    buffer = buffer.subspan(part.size());
    offset += part.size();
  }
}

void DestinationConnection::zero(DestinationBatch &batch, extents::Range range, uint32_t flags,
                                 bool fua) {
  const bool native = info().can_zero;
  const uint64_t step = native ? largest_zero : std::min<uint64_t>(zeroes_size, largest_payload());
  while (!range.empty()) {
    const uint64_t part = std::min(step, range.length);
    DestinationRequest &request = add(batch, nbd::Operation::zero, {range.offset, part});
    request.flags = (native ? flags : 0) | fua_flag(fua);
    if (!native) {
      request.operation = nbd::Operation::write;
      request.data = zeroes;
    }
    submit(request);
    range = {range.offset + part, range.length - part};
  }
}

void DestinationConnection::flush(DestinationBatch &batch) {
  if (info().can_flush) submit(add(batch, nbd::Operation::flush, {}));
}

void DestinationConnection::read(DestinationBatch &batch, std::span<std::byte> buffer,
                                 uint64_t offset, Limit limit) {
  while (!buffer.empty()) {
    auto part = buffer.first(std::min<size_t>(buffer.size(), largest_payload()));
    DestinationRequest &request = add(batch, nbd::Operation::read, {offset, part.size()});
    request.into = part.data();
    submit(request, limit);
    buffer = buffer.subspan(part.size());
    offset += part.size();
  }
}

void DestinationConnection::cancel_waiting() {
  cancelled_ = true;
  limiter_.close();
}

DestinationRequest &DestinationConnection::add(DestinationBatch &batch, nbd::Operation purpose,
                                               extents::Range range) {
  DestinationRequest &request = batch.requests_.emplace_back(*this, batch.batch_, purpose);
  request.offset = range.offset;
  request.count = range.length;
  return request;
}

void DestinationConnection::submit(DestinationRequest &request, Limit limit) {
  const bool payload = limit == Limit::rate && (request.operation == nbd::Operation::write ||
                                                request.operation == nbd::Operation::read);
  request.batch_.begin();
  limiter_.acquire(request, payload ? request.count : 0);
}

void DestinationConnection::start(DestinationRequest &request) {
  ++counters_.in_flight;
  if (request.syncs()) request.sync_ = syncs_.begin();
  if (dead()) return complete(request, ENOTCONN);
  target_->submit(request);
}

void DestinationConnection::reject(DestinationRequest &request) {
  const int errnum = cancelled_ ? ECANCELED : ENOTCONN;
  request.batch_.end(errnum, describe(request, errnum));
}

// The batch's end() comes last: after it the request and this connection may be gone.
void DestinationConnection::complete(DestinationRequest &request, int errnum) {
  nbd::Batch &batch = request.batch_;
  --counters_.in_flight;
  if (errnum == 0) {
    ++counters_.requests;
    if (request.purpose_ == nbd::Operation::write) counters_.bytes += request.count;
    if (request.purpose_ == nbd::Operation::zero) counters_.zero_bytes += request.count;
  } else {
    // Recorded before the limiter is closed: what that rejects is a consequence, and a batch keeps
    // the first failure.
    batch.begin();
    batch.end(errnum, describe(request, errnum));
    if (is_connection_lost(errnum) && !dead_.exchange(true)) limiter_.close();
  }
  if (request.sync_ > 0) {
    if (errnum != 0) ++failed_syncs_;
    syncs_.end(request.sync_);
  }
  limiter_.release();
  batch.end(0);
}

std::string DestinationConnection::describe(const DestinationRequest &request, int errnum) const {
  std::string what = std::string("cannot ") + name_of(request.purpose_);
  if (request.purpose_ != nbd::Operation::flush) {
    what += fmt::format(" {} bytes at offset {}", request.count, request.offset);
  }
  if (errnum == ETIMEDOUT) {
    return fmt::format("{}: no answer within {:g} s (fanout-timeout)", what,
                       static_cast<double>(settings_.request_timeout.count()) / 1000);
  }
  return what + ": " + (errnum == ENOTCONN ? "the connection was lost" : std::strerror(errnum));
}

}  // namespace fanout
