// SPDX-License-Identifier: BSD-3-Clause
//
// The requests of one connection.
#include "common/util/error.hpp"
#include "filters/apply/job/job.hpp"

namespace apply {

using extents::Range;

// One piece on its way to the destination. Unless succeeded() was called it has failed, and if the
// state file says that those bytes are there, it is put right.
class Job::Client::Request {
 public:
  Request(Client &client, Range range, bool settles)
      : client_(client), range_(range), op_(client.job_.coverage_.begin(range, settles)) {}
  Request(const Request &) = delete;
  Request &operator=(const Request &) = delete;

  void succeeded() { succeeded_ = true; }

  ~Request() {
    Job &job = client_.job_;
    job.coverage_.end(op_, client_.stream_, succeeded_);
    if (succeeded_ || !job.keeper_.claims(range_)) return;
    try {
      job.keeper_.save();
    } catch (const util::Error &e) {
      job.log_.error(
          "{}: {} bytes at offset {} are not there, but the state says they are: remove "
          "apply-state={} to start with a full copy",
          e.what(), range_.length, range_.offset, job.settings_.state_path);
    }
  }

 private:
  Client &client_;
  const Range range_;
  const Coverage::Op op_;
  bool succeeded_ = false;
};

Job::Client::Client(Job &job, Destination &destination)
    : job_(job),
      destination_(destination),
      own_stream_(!destination.flush_covers_all()),
      stream_(own_stream_ ? job.coverage_.open() : job.shared_stream_) {}

Job::Client::~Client() {
  background_.reset();
  if (own_stream_) job_.coverage_.close(stream_);
  if (joined_) job_.leave();
}

void Job::Client::write(std::span<const std::byte> buffer, uint64_t offset, bool fua) {
  job_.check_not_failed();
  job_.active_ = true;
  bool passed_on = false;
  job_.mask_.for_each({offset, buffer.size()}, [&](const Piece &piece) {
    if (piece.kind == Kind::outside) {
      job_.dropped_ += piece.range.length;
      return true;
    }
    job_.keeper_.begin();
    Request request(*this, piece.range, true);
    destination_.write(buffer.subspan(piece.range.offset - offset, piece.range.length),
                       piece.range.offset, fua && destination_.native_fua());
    request.succeeded();
    job_.written_ += piece.range.length;
    passed_on = true;
    return true;
  });
  end_request(fua, passed_on);
}

void Job::Client::zero(Range range, ZeroFlags flags) {
  job_.check_not_failed();
  job_.active_ = true;
  bool passed_on = false;
  ZeroFlags passed = flags;
  passed.fua = flags.fua && destination_.native_fua();
  job_.mask_.for_each(range, [&](const Piece &piece) {
    if (piece.kind == Kind::outside) {
      job_.dropped_ += piece.range.length;
      return true;
    }
    job_.keeper_.begin();
    // A client may clear the whole disk before it writes: where the map says data, zeroes are not
    // yet what has to arrive. The file must not say so either, before they go on.
    Request request(*this, piece.range, piece.kind == Kind::zero);
    if (piece.kind == Kind::data && job_.keeper_.claims(piece.range)) job_.keeper_.save();
    destination_.zero(piece.range, passed);
    request.succeeded();
    job_.zeroed_ += piece.range.length;
    passed_on = true;
    return true;
  });
  end_request(flags.fua, passed_on);
}

void Job::Client::end_request(bool fua, bool passed_on) {
  if (fua && passed_on && !destination_.native_fua()) destination_.flush();
}

void Job::Client::flush() {
  job_.check_not_failed();
  flush_pending();
  job_.keeper_.save_if_due();
  job_.check_not_failed();
}

void Job::Client::flush_pending() {
  Coverage::Flush flush = job_.coverage_.begin_flush(stream_);
  try {
    destination_.flush();
  } catch (...) {
    job_.coverage_.end_flush(flush, false);
    throw;
  }
  job_.coverage_.end_flush(flush, true);
}

void Job::Client::finish() {
  background_.reset();
  std::exception_ptr failure;
  try {
    if (job_.coverage_.pending(stream_)) flush_pending();
  } catch (...) {
    failure = std::current_exception();
  }
  bool last;
  {
    std::lock_guard guard(job_.lock_);
    joined_ = false;
    last = --job_.clients_ == 0;
    if (last) job_.completing_ = true;
  }
  if (last) {
    struct Done {
      Job &job;
      ~Done() {
        std::lock_guard guard(job.lock_);
        job.completing_ = false;
        job.completed_.notify_all();
      }
    } done{job_};
    job_.complete(*this, job_.active_.exchange(false));
  }
  job_.stats_.write_anyway();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace apply
