// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job.hpp"

#include <cerrno>
#include <utility>

#include "common/util/error.hpp"

namespace apply {

using extents::Range;

namespace {

uint64_t total(const std::vector<Range> &ranges) {
  uint64_t bytes = 0;
  for (const Range &range : ranges) bytes += range.length;
  return bytes;
}

// What the state will say, but for what is owed. Throws util::Error if what is there already
// belongs to something else, or owes what the view does not show.
convention::State next_state(const std::string &path, const View &view, const Mask &mask,
                             const util::Log &log) {
  auto identity = view.identity();
  auto old = convention::load_state(path);
  convention::State next;
  if (identity) {
    next = {identity->checkpoint, identity->source, identity->vm, identity->disk, 0, {}};
  } else if (old) {
    next = {"", old->source, old->vm, old->disk, 0, {}};  // as good as known
  }
  next.size = mask.size();

  if (!old) {
    if (identity && identity->mode == "delta") {
      log.warning(
          "apply-state={} does not exist yet: the destination is taken to hold the source as "
          "of \"{}\"",
          path, identity->since);
    }
    return next;
  }
  convention::check_belongs(*old, identity, mask.size(), "apply-state=" + path);
  for (const Range &range : old->owed) {
    if (mask.delta().contains(range)) continue;
    util::fail(EINVAL,
               "apply-state={}: {} bytes at offset {} are owed, but the source does not show them: "
               "start its delta filter with delta-owed= and this state file",
               path, range.length, range.offset);
  }
  return next;
}

}  // namespace

Job::Job(std::unique_ptr<Source> source, std::string state_path, util::Log log, Keeper::Clock clock)
    : state_path_(std::move(state_path)),
      log_(std::move(log)),
      lock_fd_(lock_state(state_path_)),
      source_(std::move(source)),
      view_(source_->load()),
      mask_(view_.map),
      coverage_(mask_),
      keeper_(state_path_, next_state(state_path_, view_, mask_, log_), mask_, coverage_, log_,
              std::move(clock)),
      shared_stream_(coverage_.open()) {
  log_.info("apply: {} of {} bytes are in the delta of {}", mask_.delta().bytes(), mask_.size(),
            source_->name());
}

std::unique_ptr<Job::Client> Job::join(uint64_t destination_size, bool flush_covers_all) {
  if (destination_size < mask_.size()) {
    util::fail(
        EINVAL,
        "the destination has {} bytes, but the source {} has {}: nothing was written; make the "
        "destination at least as large",
        destination_size, source_->name(), mask_.size());
  }
  auto client = std::make_unique<Client>(
      *this, flush_covers_all ? shared_stream_ : coverage_.open(), !flush_covers_all);
  std::unique_lock guard(lock_);
  ++waiting_;
  completed_.wait(guard, [&] { return !completing_; });
  --waiting_;
  ++clients_;
  client->joined_ = true;
  return client;
}

void Job::leave() {
  std::lock_guard guard(lock_);
  --clients_;
}

void Job::complete(Client &client, Destination &destination, bool active) {
  Completer completer({
      [this] { return source_->connect(view_); },
      [&](Range range) {
        destination.zero(range, {.fua = false, .may_trim = true, .fast = false});
        coverage_.prove_zero(range, client.stream_);
      },
      [this] { return waiting_ > 0; },
  });
  auto missing = mask_.pieces(coverage_.owed());
  if (!active && !silent_client_finished(completer, missing)) return;

  keeper_.begin();
  Completer::Result result{Completer::End::interrupted};
  std::exception_ptr failure;
  try {
    result = completer.complete(missing);
  } catch (...) {
    failure = std::current_exception();  // what was done before is to be settled first
  }
  if (coverage_.pending(client.stream_)) client.flush_pending(destination);
  keeper_.save();
  if (failure) rethrow(failure);
  report(result, active);
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
bool Job::silent_client_finished(Completer &completer, const std::vector<Piece> &missing) const {
  try {
    return completer.could_finish(missing);
  } catch (const util::Error &e) {
    log_.info("{}", e.what());
    return false;
  }
}

void Job::report(const Completer::Result &result, bool active) {
  log_.info(
      "apply: clients brought {} bytes and {} bytes of zeroes; {} bytes outside the delta "
      "were dropped; {} bytes are owed",
      written_.load(), zeroed_.load(), dropped_.load(), total(coverage_.owed()));
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
                     total(coverage_.owed()), state_path_);
}

}  // namespace apply
