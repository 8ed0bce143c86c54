// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/vddk/worker.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/util/file.hpp"
#include "plugins/vsphere/vddk/abi.hpp"

namespace vsphere::vddk {

namespace {

constexpr std::chrono::milliseconds reap_time{5'000};  // from the end of its socket to its own

// The sentence that goes with what VDDK says, where that is too little.
const char *advice(const Failed &failed) {
  if (failed.step == "loading") {
    return ": is libdir= VMware's VDDK, complete, and for this kind of machine?";
  }
  switch (failed.code) {
    case vix_authentication:
      return ": check user= and password=";
    case vix_file_not_found:
      return ": the disk is not there, or the server does not see its datastore";
    case vix_file_access:
      return ": the user may lack a privilege, or the disk is locked";
    case vix_fail:
      return failed.step == "VixDiskLib_Open" ? ": this is what VDDK says for a wrong thumbprint=, "
                                                "and when port 902 of the host "
                                                "cannot be reached"
                                              : "";
    default:
      return "";
  }
}

int errno_of(const Failed &failed) {
  if (failed.step == "loading") return ENOENT;
  switch (failed.code) {
    case vix_authentication:
    case vix_file_access:
      return EACCES;
    case vix_file_not_found:
      return ENOENT;
    default:
      return EIO;
  }
}

}  // namespace

// The slots. Its size is sealed: neither side can make the other fault by cutting it.
class Worker::Memory {
 public:
  explicit Memory(size_t size)
      : fd_(::memfd_create("vddk", MFD_CLOEXEC | MFD_ALLOW_SEALING)), size_(size) {
    if (!fd_ || ::ftruncate(fd_.get(), static_cast<off_t>(size)) < 0 ||
        ::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
      util::fail_os(errno, "cannot make {} bytes of shared memory", size);
    }
    data_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (data_ == MAP_FAILED) util::fail_os(errno, "cannot map {} bytes of shared memory", size);
  }
  ~Memory() { ::munmap(data_, size_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  int fd() const { return fd_.get(); }
  std::span<std::byte> slot(unsigned number) const {
    return {static_cast<std::byte *>(data_) + number * slot_size, slot_size};
  }

 private:
  util::Fd fd_;
  size_t size_;
  void *data_ = MAP_FAILED;
};

Worker::Worker(const std::string &program, Start start, const Deadlines &deadlines,
               const util::Log &log)
    : deadlines_(deadlines), log_(log) {
  const unsigned slots = start.slots;
  memory_ = std::make_unique<Memory>(slots * slot_size);
  auto [ours, theirs] = Channel::make_pair();
  channel_.emplace(std::move(ours));
  process_.emplace(program, util::directory_of(start.library), theirs);
  theirs = util::Fd();
  handshake(std::move(start));
  requests_.resize(slots);
  for (unsigned slot = slots; slot-- > 0;) free_.push_back(slot);
  listener_ = std::thread([this] { listen(); });
}

Worker::~Worker() {
  stop();
}

void Worker::handshake(Start start) {
  const std::string library = start.library, path = start.path, server = start.server;
  auto deadline = std::chrono::steady_clock::now() + deadlines_.start;
  auto ended = [&] {
    util::fail(EIO, "the VDDK helper process {} while it opened {} on {}",
               process_->wait(reap_time), path, server);
  };
  try {
    channel_->send(std::move(start), memory_->fd());
  } catch (const util::Error &e) {
    if (e.errnum() == EPIPE) ended();
    throw;
  }
  for (;;) {
    std::optional<Message> message;
    try {
      message = channel_->receive(deadline);
    } catch (const util::Error &e) {
      if (e.errnum() != ETIMEDOUT) throw;
      util::fail(ETIMEDOUT, "VDDK did not open {} on {} within {} s", path, server,
                 std::chrono::duration_cast<std::chrono::seconds>(deadlines_.start).count());
    }
    if (!message) ended();
    if (const Failed *failed = std::get_if<Failed>(&*message)) {
      if (failed->step == "loading") {
        throw OpenError(ENOENT, fmt::format("{} cannot be loaded ({}){}", library, failed->text,
                                            advice(*failed)));
      }
      throw OpenError(errno_of(*failed),
                      fmt::format("{} on {}: {}: {} (error {}){}", path, server, failed->step,
                                  failed->text, failed->code, advice(*failed)));
    }
    if (Started *started = std::get_if<Started>(&*message)) {
      started_ = std::move(*started);
      return;
    }
    on_message(*message);
  }
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
  return worker_->memory_->slot(number_);
}

}  // namespace vsphere::vddk
