// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/worker/worker.hpp"

#include <cerrno>

#include "common/util/file.hpp"
#include "plugins/vsphere/http/error.hpp"
#include "plugins/vsphere/transport/vddk/worker/open_disk.hpp"

namespace vsphere::vddk {

namespace {

// Closes this process's copy of the helper's socket, so that the helper's end is seen on the other.
Process spawn(const std::string &program, const std::string &library_path, util::Fd socket) {
  return Process(program, library_path, socket);
}

}  // namespace

Worker::Worker(const std::string &program, Start start, const Deadlines &deadlines,
               const util::Log &log)
    : Worker(Channel::make_pair(), program, std::move(start), deadlines, log) {}

Worker::Worker(std::pair<util::Fd, util::Fd> sockets, const std::string &program, Start &&start,
               const Deadlines &deadlines, const util::Log &log)
    : deadlines_(deadlines),
      log_(log),
      memory_(start.slots),
      requests_(start.slots),
      channel_(std::move(sockets.first)),
      process_(spawn(program, util::directory_of(start.library), std::move(sockets.second))),
      started_(open_disk(channel_, process_, std::move(start), memory_.fd(), deadlines.start,
                         deadlines.interrupt, log)),
      listener_([this] { listen(); }) {}

Worker::~Worker() {
  stop();
}

void Worker::listen() {
  std::string why;
  try {
    while (std::optional<Message> message = channel_.receive(std::nullopt)) on_message(*message);
  } catch (const std::exception &e) {
    why = e.what();
    process_.kill();
  }
  std::string how = process_.wait(usual_reap_time);
  if (why.empty()) why = "the VDDK helper process " + how;
  requests_.end(why);
}

void Worker::on_message(const Message &message) {
  if (const LogLine *line = std::get_if<LogLine>(&message)) {
    relay(*line, log_);
  } else if (const Done *done = std::get_if<Done>(&message)) {
    requests_.answer(*done);
  } else {
    fail_wrong_message();
  }
}

// In this order: the listener would else find its own reason.
void Worker::give_up(const std::string &why) {
  requests_.end(why);
  process_.kill();
}

// The helper closes the disk when it finds the socket closed, and is killed if that takes long.
void Worker::give_way() {
  channel_.shut();
  if (!requests_.wait_for_end(short_reap_time)) give_up("nbdkit was told to end");
}

std::optional<Worker::Slot> Worker::acquire(bool may_wait) {
  std::optional<unsigned> number = requests_.reserve(may_wait);
  if (!number) return std::nullopt;
  return Slot(this, *number);
}

void Worker::send(const Message &message) {
  try {
    channel_.send(message);
  } catch (const util::Error &e) {
    give_up(e.what());
    throw TransportError(EIO, e.what(), /*retryable=*/true, /*connected=*/true);
  }
}

void Worker::stop() noexcept {
  requests_.close();
  if (!listener_.joinable()) return;
  try {
    if (!requests_.ended()) channel_.send(Stop{});
  } catch (const std::exception &) {  // the process has ended, or is killed below
  }
  try {
    const auto end = std::chrono::steady_clock::now() + deadlines_.stop;
    if (!wait_in_slices(end, deadlines_.interrupt,
                        [this](auto time) { return requests_.wait_for_end(time); })) {
      log_.warning("the VDDK helper process did not close the disk within {} ms and is killed",
                   deadlines_.stop.count());
      process_.kill();
    }
  } catch (const std::exception &) {
    give_way();
  }
  listener_.join();
}

Worker::Slot::~Slot() {
  if (worker_ == nullptr) return;
  try {
    wait();
  } catch (const std::exception &) {  // the process has ended: it does not write any more
  }
  worker_->requests_.release(number_);
}

void Worker::Slot::read(uint64_t sector, uint32_t count) {
  worker_->send(Read{worker_->requests_.begin(number_), number_, sector, count});
}

void Worker::Slot::query(uint64_t sector, uint64_t count, uint64_t chunk) {
  worker_->send(Query{worker_->requests_.begin(number_), number_, sector, count, chunk});
}

Done Worker::Slot::wait() {
  RequestTable &requests = worker_->requests_;
  const std::chrono::milliseconds time = worker_->deadlines_.request;
  std::optional<Done> done;
  try {
    done = wait_in_slices(std::chrono::steady_clock::now() + time, worker_->deadlines_.interrupt,
                          [&](auto slice) { return requests.wait(number_, slice); });
  } catch (const TransportError &) {
    throw;
  } catch (const util::Error &) {
    worker_->give_way();
    throw;
  }
  if (!done) {
    worker_->give_up(
        fmt::format("VDDK did not answer within {} ms, and its helper was killed", time.count()));
    done = requests.wait(number_, {});  // throws, unless the answer has come meanwhile
  }
  return std::move(done).value();
}

std::span<std::byte> Worker::Slot::memory() const {
  return worker_->memory_.slot(number_);
}

}  // namespace vsphere::vddk
