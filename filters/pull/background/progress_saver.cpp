// SPDX-License-Identifier: BSD-3-Clause
#include "filters/pull/background/progress_saver.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "common/durability/sync_point.hpp"
#include "common/util/error.hpp"

namespace pull {

using util::MutexLock;

ProgressSaver::ProgressSaver(Parts parts, std::function<void()> flush_clients,
                             std::function<void()> whole,
                             std::function<void(const std::string &)> give_up, util::Log log,
                             std::chrono::milliseconds interval)
    : parts_(parts),
      flush_clients_(std::move(flush_clients)),
      whole_(std::move(whole)),
      give_up_(std::move(give_up)),
      log_(std::move(log)),
      interval_(interval) {
  parts_.presence.when_all_is_here([this] {
    MutexLock lock(mutex_);
    all_is_here_ = true;
    changed_.notify_all();
  });
  thread_ = std::thread([this] { run(); });
}

ProgressSaver::~ProgressSaver() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
  parts_.presence.when_all_is_here(nullptr);
}

// False if the server ends.
bool ProgressSaver::wait() {
  const auto end = std::chrono::steady_clock::now() + std::max(interval_, 19 * parts_.state.took());
  const bool has_failed = !warned_.empty();
  MutexLock lock(mutex_);
  while (!stop_ && (!all_is_here_ || has_failed) && changed_.wait_until(lock, end)) {
  }
  all_is_here_ = false;
  return !stop_;
}

void ProgressSaver::run() {
  bool is_whole = false;
  while (!is_whole && wait()) is_whole = save_progress();
  if (!is_whole) is_whole = save_progress();  // the server ends
  if (is_whole) whole_();
}

bool ProgressSaver::save_progress() {
  try {
    make_durable();
    if (parts_.presence.missing_bytes() == 0 && flush_clients_) flush_clients_();
    parts_.state.save();
    warned_.clear();
    return parts_.presence.owed_bytes() == 0;
  } catch (const util::Error &e) {
    if (e.errnum() != EINTR) failed(e.what());
  } catch (const std::exception &e) {
    failed(e.what());
  } catch (...) {
    failed("");
  }
  return false;
}

void ProgressSaver::make_durable() {
  const Presence::FetchedFlush flush = parts_.presence.begin_fetched_flush();
  auto result = flush.empty ? Presence::Result::durable : Presence::Result::lost;
  try {
    if (!flush.empty) {
      parts_.local.flush();
      result = Presence::Result::unconfirmed;
      parts_.presence.fetched_flush_succeeded(flush);
      REPLICATE_SYNC_POINT("pull.before_confirm");
      parts_.remote.confirm();
      result = Presence::Result::durable;
    }
    parts_.presence.end_fetched_flush(flush, result);
  } catch (...) {
    parts_.presence.end_fetched_flush(flush, result);
    throw;
  }
}

void ProgressSaver::failed(const std::string &reason) {
  if (give_up_) return give_up_(reason);
  const std::string why = reason.empty() ? "the layer below has failed" : reason;
  if (why == warned_) return;
  log_.warning(
      "pull: {}; what was fetched since the last save would be fetched again after a crash", why);
  warned_ = why;
}

}  // namespace pull
