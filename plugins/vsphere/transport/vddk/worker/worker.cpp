// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

#include <cerrno>
#include <utility>

#include "common/util/file.hpp"

namespace vsphere::vddk {

Worker::Worker(const std::string &program, Start start, const Deadlines &deadlines,
               const util::Log &log)
    : deadlines_(deadlines), log_(log), memory_(start.slots) {
  const unsigned slots = start.slots;
  auto [ours, theirs] = Channel::make_pair();
  channel_.emplace(std::move(ours));
  process_.emplace(program, util::directory_of(start.library), theirs);
  theirs = util::Fd();
  started_ = open_disk(*channel_, *process_, std::move(start), memory_.fd(), deadlines_.start,
                       [this](const Message &message) { on_message(message); });
  requests_.resize(slots);
  for (unsigned slot = slots; slot-- > 0;) free_.push_back(slot);
  listener_ = std::thread([this] { listen(); });
}

Worker::~Worker() {
  stop();
}

void Worker::listen() {
  std::string why;
  try {
    while (std::optional<Message> message = channel_->receive(std::nullopt)) on_message(*message);
  } catch (const std::exception &e) {
    why = e.what();
    process_->kill();
  }
  std::string how = process_->wait(reap_time);
  if (why.empty()) why = "the VDDK helper process " + how;
  std::lock_guard lock(mutex_);
  if (!dead_) why_dead_ = why;
  dead_ = true;
  changed_.notify_all();
}

void Worker::on_message(const Message &message) {
  if (const Log *line = std::get_if<Log>(&message)) {
    if (line->level == Log::Level::ours) {
      log_.warning("{}", line->text);
    } else if (line->level == Log::Level::warning) {
      log_.info("VDDK warns: {}", line->text);
    } else {
      log_.debug("VDDK: {}", line->text);
    }
    return;
  }
  const Done *done = std::get_if<Done>(&message);
  if (done == nullptr) util::fail(EPROTO, "the VDDK helper sends a message that is not its own");
  std::lock_guard lock(mutex_);
  for (Request &request : requests_) {
    if (request.state != Request::State::under_way || request.id != done->id) continue;
    request.answer = *done;
    request.state = Request::State::answered;
    changed_.notify_all();
    return;
  }
  util::fail(EPROTO, "the VDDK helper answers request {}, which was not made", done->id);
}

bool Worker::dead() const {
  std::lock_guard lock(mutex_);
  return dead_ || stopping_;
}

void Worker::fail_dead() const {
  throw TransportError(EIO, dead_ ? why_dead_ : "the VDDK helper process is being ended",
                       /*retryable=*/true, /*connected=*/true);
}

void Worker::give_up(const std::string &why) noexcept {
  std::lock_guard lock(mutex_);
  if (!dead_) why_dead_ = why;
  dead_ = true;
  process_->kill();
  changed_.notify_all();
}

std::optional<Worker::Slot> Worker::acquire(bool may_wait) {
  std::unique_lock lock(mutex_);
  // Ends: every request has a deadline.
  changed_.wait(lock, [&] { return !free_.empty() || !may_wait || dead_ || stopping_; });
  if (dead_ || stopping_) fail_dead();
  if (free_.empty()) return std::nullopt;
  unsigned slot = free_.back();
  free_.pop_back();
  return Slot(this, slot);
}

uint64_t Worker::begin(unsigned slot) {
  std::lock_guard lock(mutex_);
  if (dead_) fail_dead();
  requests_[slot] = {Request::State::under_way, ++last_id_, {}};
  return last_id_;
}

void Worker::send(const Message &message) {
  try {
    channel_->send(message);
  } catch (const util::Error &e) {
    give_up(e.what());
    throw TransportError(EIO, e.what(), /*retryable=*/true, /*connected=*/true);
  }
}

void Worker::stop() noexcept {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (!listener_.joinable()) return;
  try {
    if (std::unique_lock lock(mutex_); !dead_) {
      lock.unlock();
      channel_->send(Stop{});
    }
  } catch (const std::exception &) {  // it has gone, or will be killed
  }
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, deadlines_.stop, [&] { return dead_; })) {
    log_.warning("the VDDK helper process does not close the disk within {} ms: it is killed",
                 deadlines_.stop.count());
    process_->kill();
  }
  lock.unlock();
  listener_.join();
}

Worker::Slot::~Slot() {
  if (worker_ == nullptr) return;
  try {
    wait();
  } catch (const std::exception &) {  // it has ended
  }
  std::lock_guard lock(worker_->mutex_);
  worker_->requests_[number_].state = Request::State::none;
  worker_->free_.push_back(number_);
  worker_->changed_.notify_all();
}

void Worker::Slot::read(uint64_t sector, uint32_t count) {
  worker_->send(Read{worker_->begin(number_), number_, sector, count});
}

void Worker::Slot::query(uint64_t sector, uint64_t count, uint64_t chunk) {
  worker_->send(Query{worker_->begin(number_), number_, sector, count, chunk});
}

Done Worker::Slot::wait() {
  std::unique_lock lock(worker_->mutex_);
  Request &request = worker_->requests_[number_];
  auto over = [&] { return request.state != Request::State::under_way || worker_->dead_; };
  if (!worker_->changed_.wait_for(lock, worker_->deadlines_.request, over)) {
    lock.unlock();
    worker_->give_up(fmt::format("VDDK did not answer within {} ms, and its helper was killed",
                                 worker_->deadlines_.request.count()));
    lock.lock();
  }
  if (request.state == Request::State::under_way) worker_->fail_dead();
  return request.answer;
}

std::span<std::byte> Worker::Slot::memory() const {
  return worker_->memory_.slot(number_);
}

}  // namespace vsphere::vddk
