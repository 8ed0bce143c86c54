// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

namespace fanout {

namespace {

// NBD's errors are few, and the rest reach the client as "invalid argument": the lost connection of
// another server is an I/O error to it.
int for_client(int errnum) {
  return means_lost(errnum) ? EIO : errnum;
}

// What does not change by asking again.
bool is_final(int errnum) {
  return errnum == ENOSPC || errnum == EPERM || errnum == EROFS || errnum == EDQUOT;
}

double seconds_of(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

void Destination::Guard::unlock() {
  auto notes = std::exchange(destination_.notes_, {});
  lock_.unlock();
  for (const auto &[level, text] : notes) {
    const util::Log &log = destination_.means_.log;
    if (level == util::Level::error) log.error("{}", text);
    if (level == util::Level::warning) log.warning("{}", text);
    if (level == util::Level::info) log.info("{}", text);
  }
}

void Destination::note(util::Level level, std::string text) const {
  notes_.emplace_back(level, settings_.name + ": " + std::move(text));
}

Destination::Destination(size_t number, Settings settings, const std::string &state_directory,
                         Counters &counters, Means means)
    : number_(number),
      settings_(std::move(settings)),
      counters_(counters),
      means_(std::move(means)),
      state_file_(state_directory, settings_.name),
      machine_(settings_.policy),
      copier_({.next = [this]() -> std::optional<Copier::Copy> {
                 Guard guard(*this);
                 if (!machine_.connected()) return std::nullopt;
                 merging_ = !async() && !pass_failed_ &&
                            (merging_ || ledger_.dirty_blocks() <= merging_limit());
                 auto id = ledger_.next_copy(Copier::largest);
                 if (!id) return std::nullopt;
                 return Copier::Copy{*id, (*id)->range};
               },
               .over =
                   [this](const Copier::Copy &c, const Failure *failure, bool read_failed) {
                     Guard guard(*this);
                     bool arrived = failure == nullptr && !read_failed && link_;
                     ledger_.end(c.id, arrived, false);
                     if (arrived) {
                       counters_.copied += c.range.length;
                       machine_.progress();
                     }
                     if (read_failed && means_.readers.any()) {
                       reason_ =
                           fmt::format("cannot read the primary at offset {}", c.range.offset);
                       errnum_ = EIO;
                       pass_failed_ = true;
                     }
                     if (failure != nullptr) trouble(*failure);
                     changed_.notify_all();
                   },
               .read = [this](std::span<std::byte> buffer,
                              uint64_t offset) { return means_.readers.read(buffer, offset); },
               .stop =
                   [this] {
                     Guard guard(*this);
                     return stop_ || !machine_.connected() || !means_.readers.any() ||
                            (state_file_.used() && unsaved_ && Clock::now() >= save_due_);
                   }}) {}

Destination::~Destination() {
  close();
}

// Few enough blocks that a client may wait for them: not more than the rate allows in a second.
uint64_t Destination::merging_limit() const {
  constexpr uint64_t most = 64;
  if (settings_.rate == 0) return most;
  return std::clamp<uint64_t>(settings_.rate / DirtyMap::block, 1, most);
}

void Destination::check_fits(const nbd::Info &info) const {
  const uint64_t primary_size = ledger_.size();
  if (info.size < primary_size) {
    util::fail(EINVAL,
               "{}: the export has {} bytes, less than the primary's {}: make it at least as large",
               name(), info.size, primary_size);
  }
  if (primary_size % info.minimum_block != 0) {
    util::fail(EINVAL,
               "{}: the server takes only blocks of {} bytes, and the primary's {} bytes are no "
               "multiple of that",
               name(), info.minimum_block, primary_size);
  }
}

void Destination::open(uint64_t primary_size, const std::string &export_name) {
  auto owed = state_file_.open(primary_size, export_name);
  Guard guard(*this);
  if (ledger_.size() != primary_size) {
    if (!ledger_.durable()) {
      util::fail(EINVAL, "{}: the primary had {} bytes, and now has {}: start nbdkit anew", name(),
                 ledger_.size(), primary_size);
    }
    if (primary_size > DirtyMap::largest_disk) {
      util::fail(EFBIG, "fanout: the primary has {} bytes, more than the {} that can be kept",
                 primary_size, DirtyMap::largest_disk);
    }
    ledger_ = Ledger(primary_size);
  }
  for (const Range &range : owed) {
    ledger_.owe(range);
    unsaved_ = true;
  }
  if (unsaved_) note(util::Level::info, debt() + ", from an earlier run");
  open_ = true;
  failed_ = draining_ = merging_ = stop_ = pass_failed_ = touched_ = false;
  start_ = {Clock::now(), counters_.bytes, counters_.zero_bytes, counters_.requests,
            counters_.retries};
  last_look_ = start_.time;
  last_bytes_ = start_.bytes + counters_.zero_bytes;
  reason_.clear();
  machine_.restart(Clock::now());
  if (!keep_turn(guard)) note(util::Level::info, "waits for its turn (fanout-active)");
}

void Destination::connect_first() {
  Guard guard(*this);
  if (!has_turn_) return;
  guard.unlock();
  try {
    auto target = means_.connect(settings_);
    guard.lock();
    check_fits(target->info());
    connected(std::move(target));
  } catch (const util::Error &e) {
    if (!guard.held().owns_lock()) guard.lock();
    if (!settings_.policy.detach || e.errnum() == EINVAL) throw;
    note(util::Level::warning, std::string(e.what()) + ": the others go on without it");
    ++counters_.retries;
    reason_ = e.what();
    errnum_ = EIO;
    machine_.connect_failed(Clock::now());
    gave_up();
  }
}

void Destination::connected(std::unique_ptr<Target> target) {
  info_ = target->info();
  link_ = std::make_shared<Link>(settings_, std::move(target), counters_);
  machine_.connected_now(Clock::now(), !ledger_.settled());
  save_due_ = Clock::now() + std::chrono::seconds(1);
  note(util::Level::info,
       fmt::format(
           "connected: {} bytes, requests of at most {}; the server {} flush, {} FUA, {} zero; {}",
           info_->size, info_->maximum_block, info_->can_flush ? "can" : "cannot",
           info_->can_fua ? "can" : "cannot", info_->can_zero ? "can" : "cannot", debt()));
  if (!info_->can_flush) {
    note(util::Level::warning,
         "the server offers no flush: when what it was sent is durable is up to it");
  }
}

void Destination::start() {
  thread_ = std::thread([this] { run(); });
}

void Destination::drain() {
  Guard guard(*this);
  draining_ = true;
  verified_ = settings_.verify == 0;
  last_try_ = machine_.state() == State::detached && machine_.due() != Clock::time_point::max();
  machine_.last_try(Clock::now());
  changed_.notify_all();
}

void Destination::resume() {
  Guard guard(*this);
  draining_ = false;
  if (machine_.finished()) machine_.restart(Clock::now());
  changed_.notify_all();
}

bool Destination::at_end() const {
  Guard guard(*this);
  return machine_.finished() || (machine_.given_up() && !last_try_);
}

bool Destination::has_much_to_do() const {
  Guard guard(*this);
  if (machine_.state() == State::failed) return false;
  return !ledger_.settled() || settings_.verify > 0 || !machine_.connected();
}

void Destination::stop() {
  Guard guard(*this);
  stop_ = true;
  merging_ = false;
  changed_.notify_all();
}

void Destination::close() {
  stop();
  if (thread_.joinable()) thread_.join();
  Guard guard(*this);
  if (!std::exchange(open_, false)) return;
  drop_link();
  machine_.finish();
  bool had_turn = std::exchange(has_turn_, false);
  bool done = ledger_.durable();
  bool to_save = touched_ || unsaved_;
  auto links = std::exchange(retired_, {});
  double seconds = seconds_of(Clock::now() - start_.time);
  uint64_t bytes = counters_.bytes - start_.bytes;
  note(util::Level::info,
       fmt::format("{} bytes written and {} zeroed in {} requests, {:.1f} s, {:.1f} MiB/s; {}, {} "
                   "retries",
                   bytes, counters_.zero_bytes - start_.zero_bytes,
                   counters_.requests - start_.requests, seconds,
                   seconds > 0 ? static_cast<double>(bytes) / 1048576 / seconds : 0, debt(),
                   counters_.retries - start_.retries));
  guard.unlock();

  links.clear();
  if (had_turn) means_.turns.give_back();
  means_.turns.withdraw(number_);
  std::string saved = to_save ? save_at_end() : "";
  if (done) return;
  guard.lock();
  note(util::Level::error,
       fmt::format("{}{}; {}", reason_.empty() ? "" : reason_ + "; ", debt(), saved));
}

// What is to be said of it if something is owed.
std::string Destination::save_at_end() {
  if (!state_file_.used()) {
    return "not saved, for there is no fanout-state: the destination is to be copied anew";
  }
  try {
    state_file_.set_exactly([this] {
      std::lock_guard guard(lock_);
      return ledger_.at_risk();
    });
  } catch (const util::Error &e) {
    return fmt::format("{}; {} owes them, and perhaps more", e.what(), state_file_.path());
  }
  std::lock_guard guard(lock_);
  unsaved_ = false;
  return fmt::format("saved in {}: run it again with the same fanout-state to have them copied",
                     state_file_.path());
}

std::optional<nbd::Info> Destination::info() const {
  Guard guard(*this);
  return info_;
}

void Destination::remember(const nbd::Info &info) {
  Guard guard(*this);
  info_ = info;
}

void Destination::trouble(const Failure &failure) {
  auto now = Clock::now();
  reason_ = failure.what;
  errnum_ = for_client(failure.errnum);
  State before = machine_.state();
  pass_failed_ = true;
  merging_ = false;
  if (means_lost(failure.errnum)) {
    if (!link_) return;
    drop_link();
    machine_.lost(now);
  } else if (is_final(failure.errnum)) {
    machine_.refused(now);
  } else {
    machine_.error(now);
  }
  if (machine_.given_up()) {
    if (before != machine_.state()) gave_up();
  } else if (before != machine_.state()) {
    note(util::Level::warning,
         fmt::format("{}; {}, trying again in {:g} s", reason_, debt(),
                     std::max(0.0, std::round(seconds_of(machine_.due() - now) * 10) / 10)));
  }
}

// After an event that may have been one too many.
void Destination::gave_up() {
  if (!machine_.given_up()) return;
  drop_link();
  if (machine_.state() == State::failed) {
    note(util::Level::info, reason_ + ": it has failed");
    failed_ = true;
  } else {
    note(util::Level::error,
         fmt::format("{}: it is detached, the others go on; {}{}", reason_, debt(),
                     machine_.due() == Clock::time_point::max()
                         ? ""
                         : fmt::format(", and it is tried again every {:g} s",
                                       seconds_of(settings_.policy.retry_max))));
  }
}

void Destination::drop_link() {
  if (!link_) return;
  retired_.push_back(std::move(link_));
  link_.reset();
  ledger_.lost();
  merging_ = false;
  unsaved_ = insecure_ = true;
  changed_.notify_all();
}

std::string Destination::debt() const {
  return fmt::format("{} bytes are owed", ledger_.owed_bytes());
}

void Destination::poke() {
  Guard guard(*this);
  changed_.notify_all();
}

void Destination::look() {
  Guard guard(*this);
  auto now = Clock::now();
  counters_.owed = ledger_.owed_bytes();
  counters_.live = machine_.connected() && counters_.owed == 0 ? 1 : 0;
  uint64_t bytes = counters_.bytes + counters_.zero_bytes;
  double seconds = seconds_of(now - last_look_);
  if (seconds < 1) return;
  speed_ = static_cast<uint64_t>(static_cast<double>(bytes - last_bytes_) / seconds);
  last_bytes_ = bytes;
  last_look_ = now;
}

std::string Destination::progress() const {
  Guard guard(*this);
  return fmt::format(
      "{}: {}, {} bytes behind; {} bytes in {} requests, {} in flight, {} retries, "
      "{:.1f} MB/s",
      name(), to_string(machine_.state()), ledger_.owed_bytes(),
      counters_.bytes + counters_.zero_bytes, counters_.requests.load(), counters_.in_flight.load(),
      counters_.retries.load(), static_cast<double>(speed_) / 1e6);
}

}  // namespace fanout
