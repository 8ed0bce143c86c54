// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/job_client.hpp"

#include <exception>

#include "common/util/error.hpp"
#include "filters/apply/job/completion.hpp"

namespace apply {

using extents::Range;

// A request under way at the destination, for one area of the delta. It has failed unless
// succeeded() was called; then the state file is saved if it says that those bytes are there.
class JobClient::Request {
 public:
  Request(JobClient &client, Range range, Effect effect, bool syncs)
      : client_(client), range_(range), op_(begin(client.context_, range, effect, syncs)) {}
  Request(const Request &) = delete;
  Request &operator=(const Request &) = delete;

  void succeeded() { succeeded_ = true; }

  ~Request() {
    JobContext &context = client_.context_;
    if (!succeeded_) context.state.lose(range_);
    context.coverage.end(op_, client_.scope_, succeeded_);
    if (succeeded_ || !context.state.claims(range_)) return;
    try {
      context.state.save_lost();
    } catch (const util::Error &e) {
      context.log.error(
          "{}: {} bytes at offset {} are not there, and apply-state={}, which may say that they "
          "are, cannot be saved: flushes fail until it can be; if that does not happen before "
          "nbdkit ends, remove it, if it still exists, to start with a full copy",
          e.what(), range_.length, range_.offset, context.settings.state_path);
    }
  }

 private:
  static Coverage::Op begin(JobContext &context, Range range, Effect effect, bool syncs) {
    if (effect == Effect::clears) context.state.lose(range);
    return context.coverage.begin(range, effect, syncs);
  }

  JobClient &client_;
  const Range range_;
  const Coverage::Op op_;
  bool succeeded_ = false;
};

JobClient::JobClient(JobContext &context, DestinationDisk &destination)
    : context_(context),
      destination_(destination),
      own_scope_(!destination.flush_covers_all()),
      scope_(own_scope_ ? context.coverage.open() : context.shared_scope),
      failures_heard_(context.coverage.failed_flushes()) {
  context_.gate.enter();
}

JobClient::~JobClient() {
  background_.reset();
  if (own_scope_) context_.coverage.close(scope_);
  if (!finished_) context_.gate.leave();
}

void JobClient::verify_in_background() {
  background_ = context_.verify->run_in_background(destination_);
}

void JobClient::write(std::span<const std::byte> buffer, uint64_t offset, bool fua) {
  context_.failure.check();
  context_.clients_sent = true;
  bool passed_on = false;
  const bool syncs = fua && destination_.native_fua();
  const uint64_t failures = context_.coverage.failed_flushes();
  context_.view.map.for_each({offset, buffer.size()}, [&](const Area &area) {
    const Range &range = area.range;
    if (area.kind == Kind::outside) {
      context_.traffic.dropped += range.length;
      return true;
    }
    context_.begin(destination_);
    Request request(*this, range, Effect::delivers, syncs);
    DigestRecorder::Request digested(context_.digests.get(), range);
    const auto part = buffer.subspan(range.offset - offset, range.length);
    destination_.write(part, range.offset, syncs);
    digested.wrote(part);
    request.succeeded();
    context_.traffic.written += range.length;
    passed_on = true;
    return true;
  });
  if (fua && passed_on) make_durable(failures);
}

void JobClient::zero(Range whole, ZeroFlags flags) {
  context_.failure.check();
  context_.clients_sent = true;
  bool passed_on = false;
  ZeroFlags passed = flags;
  passed.fua = flags.fua && destination_.native_fua();
  const uint64_t failures = context_.coverage.failed_flushes();
  context_.view.map.for_each(whole, [&](const Area &area) {
    const Range &range = area.range;
    if (area.kind == Kind::outside) {
      context_.traffic.dropped += range.length;
      return true;
    }
    context_.begin(destination_);
    // A client may clear the whole disk before it writes: where the source has data, zeroes do not
    // count as arrived. A state file that says that the data is there is saved before the data is
    // destroyed.
    Request request(*this, range, area.kind == Kind::zero ? Effect::delivers : Effect::clears,
                    passed.fua);
    if (area.kind == Kind::data && context_.state.claims(range)) context_.state.save_lost();
    DigestRecorder::Request digested(context_.digests.get(), range);
    destination_.zero(range, passed);
    digested.zeroed();
    request.succeeded();
    context_.traffic.zeroed += range.length;
    passed_on = true;
    return true;
  });
  if (flags.fua && passed_on) make_durable(failures);
}

// After the parts of a request with FUA. failures: Coverage::failed_flushes() before them.
void JobClient::make_durable(uint64_t failures) {
  if (!destination_.native_fua()) context_.flush(destination_, scope_);
  if (context_.coverage.failed_flushes() != failures) JobContext::fail_because_lost();
}

void JobClient::flush() {
  context_.failure.check();
  try {
    context_.flush(destination_, scope_);
  } catch (...) {
    hear_of_failures();
    throw;
  }
  if (hear_of_failures()) JobContext::fail_because_lost();
  context_.state.save_if_due();
  context_.failure.check();
}

// A flush that failed, of another client too, may have lost what this one has written, and the next one of the
// destination need not say so again.
bool JobClient::hear_of_failures() {
  const uint64_t now = context_.coverage.failed_flushes();
  return failures_heard_.exchange(now) != now;
}

void JobClient::finish() {
  background_.reset();
  std::exception_ptr failure;
  try {
    if (context_.coverage.pending(scope_)) context_.flush(destination_, scope_);
  } catch (...) {
    failure = std::current_exception();
  }
  finished_ = true;
  if (context_.gate.leave_and_close()) {
    struct Reopen {
      ClientGate &gate;
      ~Reopen() { gate.reopen(); }
    } reopen{context_.gate};
    Completion(context_, destination_, scope_).run(context_.clients_sent.exchange(false), failure);
  }
  context_.stats.write_anyway();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace apply
