// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/background/fetch_workers.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/priority.hpp"

namespace pull {

using extents::Range;
using util::MutexLock;

namespace {

constexpr uint64_t ahead_of_reader = 16;                // chunks
constexpr std::chrono::milliseconds client_active{50};  // since its last request
constexpr std::chrono::milliseconds longest_wait{200};  // before it is looked whether there is work

unsigned number_of_workers(const Settings &s) {
  const uint64_t fit = s.memory / 2 / s.chunk;  // the other half is for clients that wait
  return static_cast<unsigned>(std::clamp<uint64_t>(s.workers, 1, std::max<uint64_t>(fit, 1)));
}

}  // namespace

class FetchWorkers::View : public DiskView {
 public:
  explicit View(const Parts &parts) : parts_(parts) {}
  Range first_missing(Range within) const override { return parts_.presence.first_missing(within); }
  bool is_fetched_now(Range range) const override { return parts_.presence.is_fetched_now(range); }
  uint64_t known() const override { return parts_.map.known(); }
  extents::Extent source_at(uint64_t offset) const override { return parts_.map.at(offset); }

 private:
  const Parts &parts_;
};

FetchWorkers::FetchWorkers(const Settings &settings, uint64_t size, Parts parts, util::Log log)
    : number_(number_of_workers(settings)),
      give_way_(!settings.copy),
      retry_(settings.patience.retry_max),
      parts_(std::move(parts)),
      log_(std::move(log)),
      order_(size, settings.chunk, settings.priority, ahead_of_reader * settings.chunk),
      rate_(settings.rate),
      depth_(number_) {
  for (unsigned i = 0; i < number_; ++i) threads_.emplace_back([this] { work(); });
}

FetchWorkers::~FetchWorkers() {
  stop();
  for (std::thread &thread : threads_) thread.join();
}

void FetchWorkers::stop() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
}

void FetchWorkers::note_read(Range range) {
  note_client();
  const Range ahead = order_.note_read(range);
  if (ahead.empty() || parts_.presence.here(ahead)) return;
  {
    MutexLock lock(mutex_);  // nobody is between the look for work and the wait
  }
  work_.notify_one();
}

void FetchWorkers::note_map() {
  {
    MutexLock lock(mutex_);  // the same
  }
  work_.notify_all();
}

void FetchWorkers::want(Range range) {
  {
    MutexLock lock(mutex_);
    order_.want(range);
  }
  work_.notify_one();
}

bool FetchWorkers::client_is_active() const {
  const Clock::time_point last{Clock::duration(last_client_.load())};
  return Clock::now() - last < client_active;
}

std::optional<ChunkJob> FetchWorkers::wait_for_job() {
  const View view(parts_);
  MutexLock lock(mutex_);
  while (!stop_ && parts_.presence.owed_bytes() > 0) {
    if (!reconnecting_ && parts_.fetcher.is_given_up()) {
      reconnecting_ = true;
      lock.unlock();
      connect_again();
      lock.lock();
      reconnecting_ = false;
      work_.notify_all();
      continue;
    }
    const auto now = Clock::now();
    const bool may_rest = rest_under_way_ < depth_.now();
    std::optional<ChunkJob> job;
    if (std::max(rate_.next(), not_before_) <= now && !reconnecting_)
      job = order_.next(view, now, may_rest);
    if (job) {
      if (job->why == ChunkJob::Why::rest) ++rest_under_way_;
      if (!job->zeroes) rate_.take(job->range.length, now);
      work_.notify_one();  // there may be another one
      return job;
    }
    work_.wait_until(
        lock, rate_.next() > now ? std::min(rate_.next(), now + longest_wait) : now + longest_wait);
  }
  return std::nullopt;
}

// Nobody has a chunk meanwhile, which a client would wait for.
void FetchWorkers::connect_again() {
  try {
    parts_.fetcher.connect_again();
  } catch (...) {  // who reads is told
  }
}

// The thread has no chunk meanwhile.
void FetchWorkers::add_connections() {
  try {
    parts_.fetcher.add_connections();
  } catch (...) {  // the server ends
  }
}

void FetchWorkers::work() {
  if (give_way_) util::give_way();
  while (const auto job = wait_for_job()) {
    const auto start = Clock::now();
    const bool stored = fetch(*job);
    finish(*job, stored, Clock::now() - start);
    if (parts_.presence.missing_bytes() > 0) add_connections();
  }
}

// False: nothing was stored.
bool FetchWorkers::fetch(const ChunkJob &job) {
  try {
    REPLICATE_SYNC_POINT("pull.job");
    return job.zeroes ? parts_.fetcher.fetch_zeroes(job.range)
                      : parts_.fetcher.fetch(job.range, Waiting::background);
  } catch (const util::Error &e) {
    if (e.errnum() != EINTR) failed(job, e.what(), e.errnum() == ESTALE);
  } catch (const std::exception &e) {
    failed(job, e.what(), true);
  } catch (...) {
    failed(job, "", true);
  }
  return false;
}

void FetchWorkers::finish(const ChunkJob &job, bool stored, Clock::duration took) {
  MutexLock lock(mutex_);
  if (stored && !job.zeroes) not_before_ = {};  // zeroes may need no room
  if (job.why != ChunkJob::Why::rest) return;
  --rest_under_way_;
  if (!job.zeroes) depth_.fetched(took, client_is_active());
}

// all: it may be no matter of this chunk alone. Others would be read from the source for nothing.
void FetchWorkers::failed(const ChunkJob &job, const std::string &why, bool all) {
  if (parts_.fetcher.is_given_up()) return;  // that was logged
  bool first;
  {
    MutexLock lock(mutex_);
    const auto then = Clock::now() + retry_;
    order_.defer(job.range.offset, then, all);
    if (all) not_before_ = then;
    first = !std::exchange(warned_, true);
  }
  if (parts_.give_up) return parts_.give_up(why);
  const auto text = fmt::format(
      "pull: {} bytes at offset {} could not be fetched: {}; they are tried again",
      job.range.length, job.range.offset, why.empty() ? "the layer below has failed" : why);
  if (first) {
    log_.warning("{}", text);
  } else {
    log_.info("{}", text);
  }
}

}  // namespace pull
