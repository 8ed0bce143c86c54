// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/destination.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <utility>

namespace fanout {

Destination::Destination(size_t number, Settings settings, const std::string &state_directory,
                         Counters &counters, Means means)
    : number_(number),
      settings_(std::move(settings)),
      counters_(counters),
      means_(std::move(means)),
      state_file_(state_directory, settings_.name, settings_.new_owes_all),
      machine_(settings_.policy),
      copier_({.next = [this]() -> std::optional<Copier::Copy> {
                 Guard guard(*this);
                 if (!machine_.connected()) return std::nullopt;
                 if (auto offer = offers_.next()) {
                   return Copier::Copy{offer->id, offer->id->range, std::move(offer->data)};
                 }
                 merging_ = !async() && !pass_failed_ &&
                            (merging_ || ledger_.dirty_blocks() <= merging_limit());
                 auto id = ledger_.next_copy(Copier::largest);
                 if (!id) return std::nullopt;
                 return Copier::Copy{*id, (*id)->range};
               },
               .over =
                   [this](Copier::Copy c, const Failure *failure, bool read_failed) {
                     Guard guard(*this);
                     bool arrived = failure == nullptr && !read_failed && link_;
                     ledger_.end(c.id, arrived, false);
                     if (arrived) machine_.progress();
                     if (!c.data.empty()) {
                       offers_.recycle(std::move(c.data));
                     } else if (arrived) {
                       counters_.copied += c.range.length;
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
                     return stop_ || !machine_.connected() ||
                            (offers_.empty() && !means_.readers.any()) ||
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

void Destination::poke() {
  Guard guard(*this);
  changed_.notify_all();
}

std::optional<nbd::Info> Destination::info() const {
  Guard guard(*this);
  return info_;
}

void Destination::remember(const nbd::Info &info) {
  Guard guard(*this);
  info_ = info;
}

}  // namespace fanout
