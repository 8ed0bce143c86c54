// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/batch.hpp"

#include <utility>

#include "common/nbd/connection.hpp"

namespace nbd {

Batch::Member &Batch::add(Operation operation, extents::Range range, uint32_t flags) {
  Member &member = members_.emplace_back(*this);
  member.operation = operation;
  member.offset = range.offset;
  member.count = range.length;
  member.flags = flags;
  return member;
}

void Batch::submit(Connection &connection, Member &member) {
  begin();
  connection.submit(member);
}

void Batch::read(Connection &connection, std::span<std::byte> buffer, uint64_t offset) {
  Member &m = add(Operation::read, {offset, buffer.size()});
  m.into = buffer.data();
  submit(connection, m);
}

void Batch::write(Connection &connection, std::span<const std::byte> buffer, uint64_t offset,
                  uint32_t flags) {
  Member &m = add(Operation::write, {offset, buffer.size()}, flags);
  m.data = buffer.data();
  submit(connection, m);
}

void Batch::zero(Connection &connection, extents::Range range, uint32_t flags) {
  submit(connection, add(Operation::zero, range, flags));
}

void Batch::trim(Connection &connection, extents::Range range, uint32_t flags) {
  submit(connection, add(Operation::trim, range, flags));
}

void Batch::flush(Connection &connection) {
  submit(connection, add(Operation::flush, {}));
}

void Batch::block_status(Connection &connection, extents::Range range,
                         std::vector<extents::Extent> &told) {
  Member &m = add(Operation::block_status, range);
  m.told = &told;
  submit(connection, m);
}

void Batch::begin() {
  util::MutexLock lock(mutex_);
  ++pending_;
}

void Batch::end(int errnum, std::string what) {
  util::MutexLock lock(mutex_);
  if (errnum != 0 && !failure_) failure_ = Failure{errnum, std::move(what)};
  if (--pending_ == 0) idle_.notify_all();  // under the lock: the waiter may destroy the batch
}

bool Batch::wait_for(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  util::MutexLock lock(mutex_);
  bool in_time = true;
  while (pending_ > 0 && in_time) in_time = idle_.wait_until(lock, end);
  return pending_ == 0;
}

int Batch::wait() {
  util::MutexLock lock(mutex_);
  while (pending_ > 0) idle_.wait(lock);
  return failure_ ? failure_->errnum : 0;
}

}  // namespace nbd
