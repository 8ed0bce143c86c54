// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/data.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "filters/fanout/destination/saving.hpp"

namespace fanout {

namespace {

using Notes = std::vector<std::pair<util::Level, std::string>>;

void write_notes(const util::Log &log, const Notes &notes) {
  for (const auto &[level, text] : notes) {
    if (level == util::Level::error) log.error("{}", text);
    if (level == util::Level::warning) log.warning("{}", text);
    if (level == util::Level::info) log.info("{}", text);
  }
}

}  // namespace

DestinationData::DestinationData(size_t place_in_list, DestinationSettings its_settings,
                                 const std::string &state_directory, Counters &its_counters,
                                 Environment its_environment)
    : place(place_in_list),
      settings(std::move(its_settings)),
      counters(its_counters),
      environment(std::move(its_environment)),
      owed_file(state_directory, settings.name, settings.new_owes_all),
      state(settings.policy),
      loss_saves([this] { claim_losses(*this); }) {}

void DestinationData::note(util::Level level, std::string text) const {
  notes.emplace_back(level, settings.name + ": " + std::move(text));
}

void DestinationData::note_reason(util::Level level, std::string text) {
  note(reason == said ? util::Level::info : level, std::move(text));
  said = reason;
}

std::string DestinationData::without_name(std::string text) const {
  if (text.starts_with(name() + ": ")) text.erase(0, name().size() + 2);
  return text;
}

std::string DestinationData::owed_text() const {
  return fmt::format("{} bytes are owed", ledger.owed_bytes());
}

uint64_t DestinationData::converging_limit() const {
  constexpr uint64_t most = 64;
  if (settings.rate == 0) return most;
  return std::clamp<uint64_t>(settings.rate / DirtyMap::block, 1, most);
}

DestinationLock::DestinationLock(const DestinationData &d) : data_(d), lock_(d.mutex) {}

// The analysis does not see that lock_ holds data_.mutex.
DestinationLock::~DestinationLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Notes notes = std::exchange(data_.notes, {});
  lock_.unlock();
  write_notes(data_.environment.log, notes);
}

DestinationUnlock::DestinationUnlock(const DestinationData &d) : data_(d) {
  Notes notes = std::exchange(d.notes, {});
  d.mutex.unlock();
  write_notes(d.environment.log, notes);
}

DestinationUnlock::~DestinationUnlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  data_.mutex.lock();
}

}  // namespace fanout
