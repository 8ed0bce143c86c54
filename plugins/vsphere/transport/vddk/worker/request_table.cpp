// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/request_table.hpp"

#include <cerrno>

#include "plugins/vsphere/http/error.hpp"

namespace vsphere::vddk {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

RequestTable::RequestTable(unsigned slots) : requests_(slots) {
  for (unsigned slot = slots; slot-- > 0;) free_.push_back(slot);
}

std::optional<unsigned> RequestTable::reserve(bool may_wait) {
  util::MutexLock lock(mutex_);
  // Ends: every request has a deadline.
  while (may_wait && free_.empty() && !closed_ && !ended_) changed_.wait(lock);
  if (closed_ || ended_) fail();
  if (free_.empty()) return std::nullopt;
  const unsigned slot = free_.back();
  free_.pop_back();
  return slot;
}

void RequestTable::release(unsigned slot) {
  util::MutexLock lock(mutex_);
  requests_[slot].state = Request::State::none;
  free_.push_back(slot);
  changed_.notify_all();
}

uint64_t RequestTable::begin(unsigned slot) {
  util::MutexLock lock(mutex_);
  if (ended_) fail();
  requests_[slot] = {Request::State::under_way, ++last_id_, {}};
  return last_id_;
}

std::optional<Done> RequestTable::wait(unsigned slot, std::chrono::milliseconds time) {
  const auto deadline = Clock::now() + time;
  util::MutexLock lock(mutex_);
  bool in_time = true;
  while (pending(slot) && !ended_ && in_time) in_time = changed_.wait_until(lock, deadline);
  if (!pending(slot)) return requests_[slot].answer;
  if (ended_) fail();
  return std::nullopt;
}

void RequestTable::answer(const Done &done) {
  util::MutexLock lock(mutex_);
  for (Request &request : requests_) {
    if (request.state != Request::State::under_way || request.id != done.id) continue;
    request.answer = done;
    request.state = Request::State::answered;
    changed_.notify_all();
    return;
  }
  util::fail(EPROTO, "the VDDK helper process answers request {}, which was not made", done.id);
}

void RequestTable::close() {
  util::MutexLock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void RequestTable::end(const std::string &why) {
  util::MutexLock lock(mutex_);
  if (!ended_) why_ended_ = why;
  ended_ = true;
  changed_.notify_all();
}

bool RequestTable::closed() const {
  util::MutexLock lock(mutex_);
  return closed_ || ended_;
}

bool RequestTable::ended() const {
  util::MutexLock lock(mutex_);
  return ended_;
}

bool RequestTable::wait_for_end(std::chrono::milliseconds time) {
  const auto deadline = Clock::now() + time;
  util::MutexLock lock(mutex_);
  bool in_time = true;
  while (!ended_ && in_time) in_time = changed_.wait_until(lock, deadline);
  return ended_;
}

bool RequestTable::pending(unsigned slot) const {
  return requests_[slot].state == Request::State::under_way;
}

void RequestTable::fail() const {
  throw TransportError(EIO, ended_ ? why_ended_ : "the VDDK helper process is being ended",
                       /*retryable=*/true, /*connected=*/true);
}

}  // namespace vsphere::vddk
