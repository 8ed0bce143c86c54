// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/job_context.hpp"

#include <cerrno>
#include <cstddef>
#include <exception>
#include <random>
#include <utility>
#include <vector>

#include "common/replication/state_lock.hpp"
#include "common/util/error.hpp"
#include "filters/apply/state/initial_state.hpp"

namespace apply {

JobContext::JobContext(std::unique_ptr<Source> from, Settings s, util::Log l,
                       StateWriter::Clock clock)
    : settings(std::move(s)),
      log(std::move(l)),
      state_lock(replication::lock_state("apply-state", settings.state_path)),
      source(std::move(from)),
      view(source->load()),
      coverage(view.map),
      header(
          initial_state(settings.state_path, settings.destination, view.source(), view.map, log)),
      image({.module = "apply",
             .state_path = settings.state_path,
             .expected = header.image,
             .any = settings.any_image,
             .whole_disk = view.map.delta_bytes() == view.map.size(),
             .checkpoints = {header.held, header.checkpoint}},
            log),
      state(settings.state_path, header, view.map, coverage, log, std::move(clock), make_confirm()),
      shared_scope(coverage.open()),
      stats(
          "apply-stats", settings.stats_path, [this] { return prometheus_text(status()); }, log) {
  log.info("apply: {} of {} bytes are in the delta of {}", view.map.delta_bytes(), view.map.size(),
           source->name());
  if (settings.verify != 0.0) verify = make_verify();
  if (!settings.digests_path.empty()) {
    digests = std::make_unique<DigestRecorder>(settings.digests_path, settings.digests_parent,
                                               view.map, header.held, header.checkpoint, log);
  }
}

std::unique_ptr<VerifySchedule> JobContext::make_verify() {
  const bool wanted = settings.verify.has_value();
  try {
    // Reads a byte now: a source that cannot be compared with is an error at the start, when the user
    // can still correct it.
    auto honest = source->honest(view);
    if (!honest) {
      if (!wanted) return nullptr;
      util::fail(
          EINVAL,
          "apply-verify wants the source's bytes, and {} has only its map: give the URI of the "
          "source as apply-from",
          source->name());
    }
    std::byte first{};
    std::vector<DiskRead> reads;
    if (view.map.size() > 0) reads.push_back({0, std::span(&first, 1)});
    honest->read(reads);
  } catch (const util::Error &e) {
    if (wanted) throw;
    log.info("apply: nothing is compared with the source: {}", e.what());
    return nullptr;
  }
  uint64_t seed = std::random_device()();
  return std::make_unique<VerifySchedule>(
      *source, view, settings.verify.value_or(handful(view.map)), seed,
      wanted ? VerifySchedule::Failures::errors : VerifySchedule::Failures::end_it,
      [this](uint64_t offset) { fail_because_different(offset); }, log);
}

void JobContext::check(const DestinationDisk &destination) {
  if (destination.size() < view.map.size()) {
    util::fail(
        EINVAL, "the destination has {} bytes, and the source {} has {}: nothing was changed; {}",
        destination.size(), source->name(), view.map.size(), replication::enlarge(view.map.size()));
  }
  if (destination.minimum_block() > view.map.alignment()) {
    util::fail(
        EINVAL,
        "the destination wants requests in blocks of {} bytes, but the delta begins and ends "
        "at multiples of {}: put nbdkit-blocksize-filter below the apply filter",
        destination.minimum_block(), view.map.alignment());
  }
  const std::string uuid = image.accept(destination.description());
  if (auto why = image.contradiction(destination.description()); !why.empty()) {
    fail_and_require_full_copy(why);
    failure.check();
  }
  state.set_image(uuid);
}

void JobContext::begin(const DestinationDisk &destination) {
  if (digests) digests->begin(destination);
  state.begin();
}

void JobContext::flush(DestinationDisk &destination, Coverage::Scope scope) {
  const Coverage::Flush flush = coverage.begin_flush(scope);
  try {
    destination.flush();
  } catch (...) {
    coverage.end_flush(flush, false);
    throw;
  }
  if (!coverage.end_flush(flush, true)) fail_because_lost();
}

void JobContext::fail_because_lost() {
  util::fail(EIO,
             "an earlier flush of the destination has failed: what was written before may be lost, "
             "and is owed");
}

void JobContext::fail_because_different(uint64_t offset) noexcept {
  fail_and_require_full_copy(fmt::format(
      "the destination differs from the source at offset {}, where the source shows no change: "
      "either the source left a change out, or the destination is not the one that apply-state={} "
      "was written for",
      offset, settings.state_path));
}

void JobContext::fail_and_require_full_copy(std::string reason) noexcept {
  try {
    state.require_full_copy();
    reason += "; the state now says that a full copy is owed: run the same command again";
  } catch (const std::exception &e) {
    reason += fmt::format(
        "; the state cannot say that a full copy is owed ({}): remove it, if it still exists, and "
        "run the same command again",
        e.what());
  }
  if (failure.set(reason)) log.error("{}", reason);
}

StateWriter::Confirm JobContext::make_confirm() {
  auto description = view.source();
  if (!description || !description->confirm_by_connection) return {};
  return [this] { confirm_source(); };
}

void JobContext::confirm_source() {
  failure.check();
  try {
    source->confirm(view);
    return;
  } catch (const util::Error &e) {
    std::string reason = fmt::format(
        "the source no longer shows the instant that is copied, or cannot be asked whether it does "
        "({}): what was copied since the state was last saved (apply-state={}) counts as not "
        "copied; run the same command again",
        e.what(), settings.state_path);
    if (failure.set(reason)) log.error("{}", reason);
  }
  failure.check();
}

JobStatus JobContext::status() const {
  return {.delta = view.map.delta_bytes(),
          .arrived = coverage.arrived_bytes(),
          .owed = coverage.owed_bytes(),
          .clients = gate.clients(),
          .failed = failure.failed(),
          .written = traffic.written,
          .zeroed = traffic.zeroed,
          .dropped = traffic.dropped,
          .compared = verify ? std::optional(verify->compared_bytes()) : std::nullopt};
}

std::string JobContext::owed_text() const {
  return fmt::format("{} bytes are still owed (apply-state={}): run the same command again",
                     coverage.owed_bytes(), settings.state_path);
}

}  // namespace apply
