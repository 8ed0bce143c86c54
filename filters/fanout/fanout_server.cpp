// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/fanout_server.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <utility>

#include "common/util/error.hpp"

namespace fanout {

namespace {

// Does it to all at the same time; throws what the first of them threw, after all are done.
void at_once(size_t number, const std::function<void(size_t)> &f) {
  std::vector<std::future<void>> coming;
  for (size_t i = 0; i < number; ++i) {
    coming.push_back(std::async(std::launch::async, [&f, i] { f(i); }));
  }
  for (auto &one : coming) one.wait();
  for (auto &one : coming) one.get();
}

// It may come later. All else has to be mended by a person first.
bool may_come_later(int errnum) {
  static constexpr int list[] = {ETIMEDOUT,   ECONNREFUSED, ENOENT,    ENOTCONN, EHOSTUNREACH,
                                 ENETUNREACH, ECONNRESET,   EHOSTDOWN, ENETDOWN, EPIPE};
  return std::find(std::begin(list), std::end(list), errnum) != std::end(list);
}

}  // namespace

Shared::Shared(const std::vector<Settings> &settings, const CommonSettings &common, util::Log log)
    : common_(common),
      log_(std::move(log)),
      stats_(
          "fanout-stats", common.stats_path,
          [this] {
            for (const auto &d : destinations_) d->look();
            return prometheus_text(counters_);
          },
          log_) {
  const size_t number = settings.size();
  unsigned active = common.active == 0 ? static_cast<unsigned>(number) : common.active;
  say_mode(number, active);
  turns_ = std::make_unique<Turns>(std::min<size_t>(active, number), [this] {
    for (const auto &d : destinations_) d->poke();
  });
  for (const Settings &s : settings) {
    counters_.push_back(std::make_unique<Counters>(s.name));
    destinations_.push_back(std::make_unique<Destination>(
        counters_.size() - 1, s, common.state_directory, *counters_.back(),
        Destination::Means{readers_, *turns_,
                           [this](const Settings &which) { return connect(which, log_); }, log_,
                           [this] { changed_.notify_all(); }}));
    const StateFile &state = destinations_.back()->state_file();
    if (state.found()) export_ = state.export_name();
  }
  probe(settings);
  fan_.emplace(destinations_);
  stats_.write();
}

Shared::~Shared() {
  finish();
  close();
  stats_.write_anyway();
}

void Shared::say_mode(size_t number, unsigned active) const {
  constexpr unsigned many = 8;
  if (active > number) {
    log_.info("fanout: fanout-active={}: there are {} destinations, so all are served at once",
              active, number);
    active = static_cast<unsigned>(number);
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

void Shared::probe(const std::vector<Settings> &settings) {
  at_once(settings.size(), [&](size_t i) {
    try {
      destinations_[i]->remember(fanout::probe(settings[i]));
    } catch (const util::Error &e) {
      if (!settings[i].policy.detach || !may_come_later(e.errnum())) throw;
      log_.warning("{}: it is tried again when a client comes", e.what());
    }
  });
}

std::optional<Readers::Id> Shared::join(uint64_t primary_size, const std::string &export_name,
                                        Readers::Read read) {
  std::lock_guard guard(lock_);
  if (!open_ && !export_) open_export_ = export_name;
  if (export_.value_or(open_export_) != export_name) return std::nullopt;
  if (!open_) open(primary_size, export_name);
  auto id = readers_.add(std::move(read));
  ++clients_;
  if (draining_) {
    draining_ = false;
    for (const auto &d : destinations_) d->resume();
  }
  changed_.notify_all();
  for (const auto &d : destinations_) d->poke();
  return id;
}

void Shared::open(uint64_t primary_size, const std::string &export_name) {
  try {
    for (const auto &d : destinations_) d->open(primary_size, export_name);
    at_once(destinations_.size(), [this](size_t i) { destinations_[i]->connect_first(); });
  } catch (...) {
    close();
    throw;
  }
  fan_->find_minimum_block();
  for (const auto &d : destinations_) d->start();
  open_ = true;
}

void Shared::close() {
  open_ = false;
  for (const auto &d : destinations_) d->stop();
  for (const auto &d : destinations_) d->close();
}

void Shared::claim(const std::string &export_name) {
  std::lock_guard guard(lock_);
  const std::string &held = export_ ? *export_ : open_export_;
  if (held == export_name) {
    export_ = export_name;
    return;
  }
  util::fail(EINVAL,
             "fanout: the destinations were given the export \"{}\", they cannot hold \"{}\" as "
             "well: run one nbdkit for each export",
             held, export_name);
}

void Shared::tick() noexcept {
  stats_.write_if_due();
  if (!open_) return;
  for (const auto &d : destinations_) {
    d->look();
    log_.info("{}", d->progress());
  }
}

}  // namespace fanout
