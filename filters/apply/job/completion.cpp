// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/job/completion.hpp"

#include <cerrno>
#include <cstddef>

#include "common/util/error.hpp"

namespace apply {

void Completion::run(bool clients_sent, std::exception_ptr failure) {
  context_.failure.check();
  ZeroFiller filler(*context_.source, context_.view, stop_);
  if (!failure && !clients_sent && !only_zeroes_missing(filler)) return;

  ZeroFiller::Result result{ZeroFiller::End::interrupted};
  try {
    if (failure) std::rethrow_exception(failure);
    result = filler.fill(missing(), [&](extents::Range range) {
      context_.begin(destination_);
      DigestRecorder::Request digested(context_.digests.get(), range);
      destination_.zero(range, {.fua = false, .may_trim = true, .fast = false});
      digested.zeroed();
      context_.coverage.mark_zeroed(range, scope_);
    });
  } catch (...) {
    failure = std::current_exception();  // what was zeroed before is made durable first
  }
  if (context_.coverage.pending(scope_)) context_.flush(destination_, scope_);
  if (result.end == ZeroFiller::End::finished) context_.begin(destination_);
  // Nothing was changed before that: then the old state is still that of the destination.
  if (context_.state.begun()) save(failure);
  if (failure) rethrow(failure);
  report(result, clients_sent);
  if (result.end != ZeroFiller::End::finished) return;
  verify_rest();
  complete_digests();
}

void Completion::save(const std::exception_ptr &failure) const {
  try {
    context_.state.save();
  } catch (...) {
    log(failure);  // else it would not be known
    throw;
  }
}

void Completion::log(const std::exception_ptr &failure) const {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const util::Error &e) {
    context_.log.error("{}", e.what());
  } catch (...) {  // the layer below has said why
  }
}

// A client that has sent nothing may be a tool that only looks, such as nbdinfo: nothing is to be
// written for it. Or it was a copy that had nothing to send, because the whole delta is zero.
bool Completion::only_zeroes_missing(ZeroFiller &filler) const {
  try {
    return filler.could_finish(missing());
  } catch (const util::Error &e) {
    context_.log.info("{}", e.what());
    return false;
  }
}

ZeroFiller::Missing Completion::missing() const {
  constexpr size_t at_once = 256;
  return [this](uint64_t from) { return context_.coverage.missing(from, at_once); };
}

void Completion::report(const ZeroFiller::Result &result, bool clients_sent) const {
  const Traffic &traffic = context_.traffic;
  context_.log.info(
      "apply: clients sent {} bytes and {} bytes of zeroes; {} bytes outside the delta were "
      "dropped; {} bytes are owed",
      traffic.written.load(), traffic.zeroed.load(), traffic.dropped.load(),
      context_.coverage.owed_bytes());
  switch (result.end) {
    case ZeroFiller::End::finished:
      break;
    case ZeroFiller::End::interrupted:
      // The client that waits is told of what is owed when it leaves.
      if (clients_sent) context_.clients_sent = true;
      break;
    case ZeroFiller::End::left_early:
      fail_if_lost();
      util::fail(EIO, "the client left before it had copied the data at offset {}: {}",
                 result.offset, context_.owed_text());
    case ZeroFiller::End::unreadable:
      fail_if_lost();
      util::fail(EIO,
                 "data at offset {} did not arrive: the client left early, or it left out zeroes "
                 "or sent them as zeroes, which cannot be told apart with a map alone: give the "
                 "source's URI as apply-from, or have the client send zeroes as data (nbdcopy "
                 "-S 0); {}",
                 result.offset, context_.owed_text());
  }
}

void Completion::fail_if_lost() const {
  if (context_.coverage.failed_flushes() == 0) return;
  util::fail(EIO,
             "a flush of the destination has failed, and what was written before counts as not "
             "copied: {}",
             context_.owed_text());
}

// A copy that is not complete is not compared: it has to be run again in any case.
void Completion::verify_rest() const {
  if (!context_.verify) return;
  VerifySchedule &verify = *context_.verify;
  try {
    verify.advance(destination_, stop_);
  } catch (const util::Error &e) {
    util::fail(e.errnum(),
               "{}; the copy is complete, but only {} bytes outside the delta were compared "
               "(apply-verify): run the same command again",
               e.what(), verify.compared_bytes());
  }
  if (!verify.finished()) context_.clients_sent = true;  // continue after the client that waits
  context_.failure.check();
}

// The last thing: the state owes nothing, and nothing was found to differ.
void Completion::complete_digests() const {
  if (!context_.digests) return;
  constexpr unsigned threads = 3;
  if (!context_.digests->complete(destination_, context_.settings.background ? threads : 0,
                                  stop_)) {
    context_.clients_sent = true;  // continue after the client that waits
  }
}

void Completion::rethrow(const std::exception_ptr &failure) const {
  try {
    std::rethrow_exception(failure);
  } catch (const util::Error &e) {
    util::fail(e.errnum(), "{}; {}", e.what(), context_.owed_text());
  } catch (...) {
    context_.log.error("{}", context_.owed_text());
    throw;
  }
}

}  // namespace apply
