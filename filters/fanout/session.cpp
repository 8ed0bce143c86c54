// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/session.hpp"

#include <future>
#include <utility>

namespace fanout {

namespace {

std::vector<std::unique_ptr<Destination>> connect_all(const std::vector<Settings> &settings,
                                                      const CountersList &counters,
                                                      const util::Log &log) {
  std::vector<std::future<std::unique_ptr<Destination>>> coming;
  for (size_t i = 0; i < settings.size(); ++i) {
    coming.push_back(std::async(std::launch::async, [&, i] {
      return std::make_unique<Destination>(settings[i], connect(settings[i], log), *counters[i]);
    }));
  }
  std::vector<std::unique_ptr<Destination>> destinations;
  for (auto &one : coming) destinations.push_back(one.get());
  return destinations;
}

}  // namespace

void probe(const std::vector<Settings> &list) {
  std::vector<std::future<void>> coming;
  for (const auto &settings : list) {
    coming.push_back(std::async(std::launch::async, [&settings] { probe(settings); }));
  }
  for (auto &one : coming) one.get();
}

Session::Session(const std::vector<Settings> &settings, const CountersList &counters,
                 uint64_t primary_size, util::Log log)
    : log_(std::move(log)), fan_(connect_all(settings, counters, log_), primary_size) {
  for (const auto &c : counters) start_.push_back({c->bytes, c->zero_bytes, c->requests});
  for (const auto &d : fan_.destinations()) {
    const nbd::Info &info = d->info();
    log_.info(
        "{}: connected: {} bytes, requests of at most {}; the server {} flush, {} FUA, {} zero",
        d->name(), info.size, info.maximum_block, info.can_flush ? "can" : "cannot",
        info.can_fua ? "can" : "cannot", info.can_zero ? "can" : "cannot");
    if (!info.can_flush) {
      log_.warning("{}: the server offers no flush: when what it was sent is durable is up to it",
                   d->name());
    }
  }
}

Session::~Session() {
  double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  for (size_t i = 0; i < start_.size(); ++i) {
    const Destination &d = *fan_.destinations()[i];
    const Counters &c = d.counters();
    uint64_t bytes = c.bytes - start_[i].bytes;
    log_.info("{}: {} bytes written and {} zeroed in {} requests, {:.1f} s, {:.1f} MiB/s", d.name(),
              bytes, c.zero_bytes - start_[i].zero_bytes, c.requests - start_[i].requests, seconds,
              seconds > 0 ? static_cast<double>(bytes) / 1048576 / seconds : 0);
  }
}

}  // namespace fanout
