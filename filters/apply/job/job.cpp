// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/job.hpp"

#include <cerrno>
#include <random>
#include <utility>
#include <vector>

#include "common/stats/prometheus.hpp"
#include "common/util/error.hpp"

namespace apply {

using extents::Range;

namespace {

void check_destination_name(const replication::State &old, const Settings &settings) {
  if (old.destination.empty() || old.destination == settings.destination) return;
  std::string given = settings.destination.empty() ? "apply-destination= was not given"
                                                   : "apply-destination=" + settings.destination;
  util::fail(EINVAL,
             "apply-state={}: that state is of the destination \"{}\", but {}: give the "
             "destination's own state file, or remove it to start with a full copy",
             settings.state_path, old.destination, given);
}

// What the state will say, but for what is owed. Throws util::Error if what is there already
// belongs to something else, or owes what the view does not show.
replication::State next_state(const Settings &settings, const View &view, const util::Log &log) {
  const std::string &path = settings.state_path;
  const Mask &mask = view.mask;
  auto identity = view.identity();
  auto old = replication::load_state(path);
  replication::State next;
  if (identity) {
    next = {identity->checkpoint, identity->source, identity->vm, identity->disk, 0, {}};
  } else if (old) {
    next = {"", old->source, old->vm, old->disk, 0, {}};  // as good as known
  }
  next.size = mask.size();
  next.destination = settings.destination;

  if (!old) {
    if (identity && identity->mode == "delta") {
      log.warning(
          "apply-state={} does not exist yet: the destination is taken to hold the source as "
          "of \"{}\"",
          path, identity->since);
    }
    return next;
  }
  replication::check_belongs(*old, identity, mask.size(), "apply-state=" + path);
  check_destination_name(*old, settings);
  for (const Range &range : old->owed) {
    if (mask.delta_bytes(range) == range.length) continue;
    util::fail(EINVAL,
               "apply-state={}: {} bytes at offset {} are owed, but the source does not show them: "
               "start its delta filter with delta-owed= and this state file",
               path, range.length, range.offset);
  }
  return next;
}

}  // namespace

Job::Job(std::unique_ptr<Source> source, Settings settings, util::Log log, Keeper::Clock clock)
    : settings_(std::move(settings)),
      log_(std::move(log)),
      lock_fd_(lock_state(settings_.state_path)),
      source_(std::move(source)),
      view_(source_->load()),
      mask_(view_.mask),
      coverage_(mask_),
      keeper_(settings_.state_path, next_state(settings_, view_, log_), mask_, coverage_, log_,
              std::move(clock)),
      shared_stream_(coverage_.open()),
      stats_(
          "apply-stats", settings_.stats_path, [this] { return statistics(); }, log_) {
  log_.info("apply: {} of {} bytes are in the delta of {}", mask_.delta_bytes(), mask_.size(),
            source_->name());
  if (settings_.verify > 0) start_verifying();
  stats_.write();
}

Job::~Job() {
  stats_.write_anyway();
}

// That there is something to compare with is found out now, when a person can mend it.
void Job::start_verifying() {
  auto honest = source_->honest(view_);
  if (!honest) {
    util::fail(
        EINVAL,
        "apply-verify wants the source's bytes, and {} has only its map: give the URI of the "
        "source as apply-from",
        source_->name());
  }
  std::byte first{};
  std::vector<Read> read;
  if (mask_.size() > 0) read.push_back({0, std::span(&first, 1)});
  honest->read(read);
  honest.reset();
  uint64_t seed = std::random_device()();
  auditor_ = std::make_unique<Auditor>(mask_, settings_.verify, seed,
                                       Auditor::Means{[this] { return source_->honest(view_); },
                                                      [this](uint64_t offset) { condemn(offset); }},
                                       log_);
}

void Job::check_destination(const Destination &destination) const {
  if (destination.size() < mask_.size()) {
    util::fail(
        EINVAL,
        "the destination has {} bytes, but the source {} has {}: nothing was written; make the "
        "destination at least as large",
        destination.size(), source_->name(), mask_.size());
  }
  if (destination.minimum_block() > mask_.alignment()) {
    util::fail(
        EINVAL,
        "the destination wants requests in blocks of {} bytes, but the delta begins and ends "
        "at multiples of {}: put nbdkit-blocksize-filter below the apply filter",
        destination.minimum_block(), mask_.alignment());
  }
}

std::unique_ptr<Job::Client> Job::join(Destination &destination) {
  check_destination(destination);
  check_not_failed();
  auto client = std::make_unique<Client>(*this, destination);
  {
    std::unique_lock guard(lock_);
    ++waiting_;
    completed_.wait(guard, [&] { return !completing_; });
    --waiting_;
    ++clients_;
    client->joined_ = true;
  }
  if (auditor_ && settings_.background) client->background_ = auditor_->beside(destination);
  return client;
}

void Job::leave() {
  std::lock_guard guard(lock_);
  --clients_;
}

Completer::Missing Job::missing() const {
  constexpr size_t at_once = 256;
  return [this](uint64_t from) { return coverage_.missing(from, at_once); };
}

void Job::complete(Client &client, bool active) {
  check_not_failed();
  Completer completer({
      [this] { return source_->connect(view_); },
      [&](Range range) {
        client.destination_.zero(range, {.fua = false, .may_trim = true, .fast = false});
        coverage_.prove_zero(range, client.stream_);
      },
      [this] { return waiting_ > 0; },
  });
  if (!active && !silent_client_finished(completer)) return;

  keeper_.begin();
  Completer::Result result{Completer::End::interrupted};
  std::exception_ptr failure;
  try {
    result = completer.complete(missing());
  } catch (...) {
    failure = std::current_exception();  // what was done before is to be settled first
  }
  if (coverage_.pending(client.stream_)) client.flush_pending();
  keeper_.save();
  if (failure) rethrow(failure);
  report(result, active);
  if (result.end == Completer::End::finished) verify_rest(client);
}

// Only of a copy that is complete: one that is not has to be run again anyhow.
void Job::verify_rest(Client &client) {
  if (!auditor_) return;
  try {
    auditor_->advance(client.destination_, [this] { return waiting_ > 0; });
  } catch (const util::Error &e) {
    util::fail(e.errnum(),
               "{}; the copy is complete, but only {} bytes outside it were compared "
               "(apply-verify): run the same command again",
               e.what(), auditor_->compared_bytes());
  }
  if (!auditor_->finished()) active_ = true;  // for the client that is waiting
  check_not_failed();
}

void Job::condemn(uint64_t offset) noexcept {
  failure_ = fmt::format(
      "the destination differs from the source at offset {}, where the source shows no change: "
      "either the source left a change out, or the destination is not the one that apply-state={} "
      "was written for; the state now says that a full copy is owed: run the same command again",
      offset, settings_.state_path);
  failed_ = true;
  log_.error("{}", failure_);
  try {
    keeper_.condemn();
  } catch (const std::exception &e) {
    log_.error("{}: the state does not say yet that a full copy is owed: remove apply-state={}",
               e.what(), settings_.state_path);
  }
}

void Job::check_not_failed() const {
  if (failed_) throw util::Error(EIO, failure_);
}

void Job::rethrow(const std::exception_ptr &failure) const {
  try {
    std::rethrow_exception(failure);
  } catch (const util::Error &e) {
    util::fail(e.errnum(), "{}; {}", e.what(), owed_text());
  } catch (...) {
    log_.error("{}", owed_text());
    throw;
  }
}

// A client that has sent nothing may have had nothing to send, for all of the delta is zero; or it
// was a tool that only looked, and then nothing is to be done or said.
bool Job::silent_client_finished(Completer &completer) const {
  try {
    return completer.could_finish(missing());
  } catch (const util::Error &e) {
    log_.info("{}", e.what());
    return false;
  }
}

void Job::report(const Completer::Result &result, bool active) {
  log_.info(
      "apply: clients brought {} bytes and {} bytes of zeroes; {} bytes outside the delta "
      "were dropped; {} bytes are owed",
      written_.load(), zeroed_.load(), dropped_.load(), coverage_.owed_bytes());
  switch (result.end) {
    case Completer::End::finished:
      break;
    case Completer::End::interrupted:
      if (active) active_ = true;  // for the client that is waiting
      break;
    case Completer::End::left_early:
      util::fail(EIO, "the client left before it had copied the data at offset {}: {}",
                 result.offset, owed_text());
    case Completer::End::unreadable:
      util::fail(
          EIO,
          "data at offset {} did not arrive: the client left early, or it left out zeroes, or "
          "sent them as such, which a map alone cannot tell: give the source's URI as "
          "apply-from, or have the client send zeroes as data (nbdcopy -S 0); {}",
          result.offset, owed_text());
  }
}

std::string Job::owed_text() const {
  return fmt::format("{} bytes are still owed (apply-state={}): run the same command again",
                     coverage_.owed_bytes(), settings_.state_path);
}

void Job::tick() noexcept {
  stats_.write_if_due();
  size_t clients;
  {
    std::lock_guard guard(lock_);
    clients = clients_;
  }
  std::string line =
      fmt::format("apply: {} of {} bytes of the delta are covered, {} bytes are owed; {} clients",
                  coverage_.arrived_bytes(), mask_.delta_bytes(), coverage_.owed_bytes(), clients);
  if (auditor_)
    line += fmt::format("; {} bytes outside it were compared", auditor_->compared_bytes());
  if (clients == 0 && line == progress_) return;
  log_.info("{}", line);
  progress_ = std::move(line);
}

std::string Job::statistics() const {
  size_t clients;
  {
    std::lock_guard guard(lock_);
    clients = clients_;
  }
  stats::Prometheus p;
  p.gauge("nbdkit_apply_delta_bytes", "Bytes that are in the delta.").sample(mask_.delta_bytes());
  p.gauge("nbdkit_apply_covered_bytes", "Bytes of the delta that have arrived.")
      .sample(coverage_.arrived_bytes());
  p.gauge("nbdkit_apply_owed_bytes", "Bytes of the delta that are not durable at the destination.")
      .sample(coverage_.owed_bytes());
  p.gauge("nbdkit_apply_clients", "Clients that are connected and may write.").sample(clients);
  p.gauge("nbdkit_apply_failed", "1 if the destination was found to differ outside the delta.")
      .sample(failed_ ? 1 : 0);
  p.counter("nbdkit_apply_written_bytes_total", "Bytes that clients wrote inside the delta.")
      .sample(written_);
  p.counter("nbdkit_apply_zeroed_bytes_total", "Bytes that clients zeroed inside the delta.")
      .sample(zeroed_);
  p.counter("nbdkit_apply_dropped_bytes_total", "Bytes of requests outside the delta.")
      .sample(dropped_);
  p.counter("nbdkit_apply_compared_bytes_total",
            "Bytes outside the delta compared with the source.")
      .sample(auditor_ ? auditor_->compared_bytes() : 0);
  return p.text();
}

}  // namespace apply
