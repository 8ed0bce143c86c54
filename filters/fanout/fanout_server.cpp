// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/fanout_server.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "common/util/error.hpp"
#include "filters/fanout/startup_probe.hpp"

namespace fanout {

FanoutServer::FanoutServer(const Settings &settings, util::Log log)
    : drain_timeout_(settings.drain_timeout),
      log_(std::move(log)),
      statistics_(settings.stats_path, destinations_, counters_, log_) {
  const size_t number = settings.destinations.size();
  const size_t active = settings.active == 0 ? number : settings.active;
  log_active(number, active);
  slots_ = std::make_unique<ActiveSlots>(std::min(active, number), [this] {
    for (const auto &d : destinations_) d->wake();
  });
  for (const DestinationSettings &one : settings.destinations) {
    const size_t place = destinations_.size();
    counters_.push_back(std::make_unique<Counters>(one.name));
    destinations_.push_back(std::make_unique<Destination>(
        place, one, settings.state_directory, *counters_.back(),
        Environment{readers_, *slots_,
                    [this](const DestinationSettings &which) { return connect(which, log_); }, log_,
                    [this] { changed_.notify_all(); }}));
    const OwedFile &file = destinations_.back()->owed_file();
    if (file.found()) export_.restore(file.export_name());
  }
  probe_all(settings, destinations_, log_);
  broadcaster_.emplace(destinations_);
  statistics_.file().write();
}

FanoutServer::~FanoutServer() {
  finish();
  close();
  statistics_.file().write_anyway();
}

void FanoutServer::log_active(size_t number, size_t active) const {
  constexpr size_t many = 8;
  if (active > number) {
    log_.info("fanout: fanout-active={}: there are {} destinations, so all are served at once",
              active, number);
    active = number;
  } else if (active == number) {
    log_.info("fanout: all {} destinations are served at once", number);
  } else {
    log_.info("fanout: {} of {} destinations are served at once{}", active, number,
              active == 1 ? " (serial)" : "");
  }
  if (active > many) {
    log_.warning(
        "fanout: {} destinations are served at once: more than {} need much memory and many "
        "connections, consider fanout-active={}",
        active, many, many);
  }
}

std::optional<PrimaryReaders::Id> FanoutServer::join(uint64_t primary_size,
                                                     const std::string &export_name,
                                                     PrimaryReaders::Read read) {
  util::MutexLock lock(mutex_);
  export_.client_came(export_name, !open_);
  if (!export_.is(export_name)) return std::nullopt;
  if (open_) {
    check_size(primary_size);
  } else {
    open(primary_size, export_name);
  }
  auto id = readers_.add(std::move(read));
  ++clients_;
  if (draining_) {
    draining_ = false;
    for (const auto &d : destinations_) d->resume();
  }
  changed_.notify_all();
  for (const auto &d : destinations_) d->wake();
  return id;
}

// What lies beyond the size that the destinations were opened with would not be copied, and what is owed
// beyond the end of a smaller primary could not be read.
void FanoutServer::check_size(uint64_t primary_size) const {
  if (primary_size == size_) return;
  util::fail(
      EINVAL,
      "fanout: the primary had {} bytes when the destinations were opened, and has {} now: connect "
      "again when the other clients have left and the destinations have been drained",
      size_, primary_size);
}

void FanoutServer::open(uint64_t primary_size, const std::string &export_name) {
  try {
    for (const auto &d : destinations_) d->open(primary_size, export_name);
    for_each_in_parallel(destinations_.size(),
                         [this](size_t i) { destinations_[i]->connect_first(); });
  } catch (...) {
    close();
    throw;
  }
  broadcaster_->update_minimum_block();
  for (const auto &d : destinations_) d->start();
  size_ = primary_size;
  open_ = true;
}

void FanoutServer::close() {
  open_ = false;
  for (const auto &d : destinations_) d->stop();
  for (const auto &d : destinations_) d->close();
}

void FanoutServer::claim(const std::string &export_name) {
  util::MutexLock lock(mutex_);
  export_.claim(export_name);
}

void FanoutServer::leave(PrimaryReaders::Id id) {
  {
    util::MutexLock lock(mutex_);
    if (--clients_ == 0 && !(anything_to_copy() && drain_in_background())) drain(lock);
  }
  readers_.remove(id);
  statistics_.file().write_anyway();
}

// The end of a client's connection waits for leave(), so draining goes to the background where it
// can.
bool FanoutServer::drain_in_background() {
  if (!drainer_.joinable() || !read_in_background("the last client has to wait")) return false;
  drain_wanted_ = true;
  changed_.notify_all();
  return true;
}

// False: the primary cannot be read without a client. consequence: what that means, for the log.
bool FanoutServer::read_in_background(std::string_view consequence) {
  if (background_) return true;
  if (!export_.name().empty()) return false;
  PrimaryReaders::Read read;
  try {
    read = open_background_reader_(size_);
  } catch (const util::Error &e) {
    log_.warning("{}", e.what());
  } catch (...) {  // the layer that failed has logged it
  }
  if (!read) {
    log_.info("fanout: the primary cannot be read without a client: {}", consequence);
    return false;
  }
  background_ = readers_.add(std::move(read));
  return true;
}

void FanoutServer::start(OpenBackgroundReader open_background_reader) {
  open_background_reader_ = std::move(open_background_reader);
  drainer_ = std::thread([this] { run_drainer(); });
}

void FanoutServer::run_drainer() {
  util::MutexLock lock(mutex_);
  for (;;) {
    while (!drain_wanted_ && !ending_) changed_.wait(lock);
    if (!drain_wanted_) return;
    drain_wanted_ = false;
    drain(lock);
    if (background_ && (clients_ > 0 || !open_)) {
      auto background = *background_;
      background_.reset();
      lock.unlock();
      readers_.remove(background);
      statistics_.file().write_anyway();
      lock.lock();
    }
  }
}

void FanoutServer::finish() {
  if (!drainer_.joinable()) return;
  {
    util::MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  drainer_.join();
  util::MutexLock lock(mutex_);
  if (std::exchange(clients_, 0) > 0) forget_clients(lock);
}

// nbdkit, while it ends, does not close the connection of a client whose handshake has failed. Nothing is read
// through it any more.
void FanoutServer::forget_clients(util::MutexLock &lock) {
  readers_.remove_all();
  if (anything_to_copy() && !read_in_background("nothing is copied or read back any more")) {
    for (const auto &d : destinations_) d->drain();  // what is not read back is an error then
    return close();
  }
  drain(lock);
  if (background_) readers_.remove(*std::exchange(background_, std::nullopt));
}

bool FanoutServer::anything_to_copy() const {
  return std::any_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->has_much_to_do(); });
}

bool FanoutServer::all_at_end() const {
  return std::all_of(destinations_.begin(), destinations_.end(),
                     [](const auto &d) { return d->at_end(); });
}

void FanoutServer::drain(util::MutexLock &lock) {
  using Clock = std::chrono::steady_clock;
  constexpr auto poll_interval = std::chrono::milliseconds(100);  // not every end is notified
  auto deadline = Clock::now() + drain_timeout_;
  while (clients_ == 0 && open_) {
    // Again, if a client has come and left while this thread waited: join() has called resume().
    if (!std::exchange(draining_, true)) {
      for (const auto &d : destinations_) d->drain();
      deadline = Clock::now() + drain_timeout_;
    }
    if (all_at_end()) break;
    if (Clock::now() >= deadline) {
      log_.warning("fanout: destinations are still behind after {:g} s (fanout-drain-timeout)",
                   static_cast<double>(drain_timeout_.count()) / 1000);
      break;
    }
    changed_.wait_until(lock, Clock::now() + poll_interval);
  }
  if (clients_ > 0 || !open_) return;
  draining_ = false;
  close();
}

void FanoutServer::tick() noexcept {
  statistics_.file().write_if_due();
  if (open_) statistics_.log_progress();
}

}  // namespace fanout
