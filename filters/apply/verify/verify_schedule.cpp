// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/verify/verify_schedule.hpp"

#include <exception>
#include <string>
#include <utility>

#include "filters/apply/disk/destination_bytes.hpp"

namespace apply {

VerifySchedule::VerifySchedule(Source &source, const DeltaView &view, double share, uint64_t seed,
                               Failures failures, OnDifference on_difference, util::Log log)
    : source_(source),
      view_(view),
      failures_(failures),
      on_difference_(std::move(on_difference)),
      log_(std::move(log)),
      comparer_(view.map, share, seed) {}

void VerifySchedule::advance(DestinationDisk &destination, const std::function<bool()> &stop) {
  util::MutexLock lock(mutex_);
  if (differs_ || finished()) return;
  if (failures_ == Failures::errors) return compare(destination, stop);
  std::string reason = "the destination cannot be read";
  try {
    return compare(destination, stop);
  } catch (const std::exception &e) {
    reason = e.what();
  } catch (...) {  // the layer below has said why
  }
  honest_.reset();
  ended_ = true;
  log_.info("apply: nothing more is compared with the source after {} bytes: {}",
            comparer_.compared_bytes(), reason);
}

void VerifySchedule::compare(DestinationDisk &destination, const std::function<bool()> &stop) {
  if (!honest_) honest_ = source_.honest(view_);
  DestinationBytes bytes(destination);
  BlockComparer::Result result = comparer_.advance(*honest_, bytes, stop);
  if (result.end == BlockComparer::End::interrupted) return;
  honest_.reset();
  if (result.end == BlockComparer::End::differs) {
    differs_ = true;
    on_difference_(result.offset);
  } else {
    log_.info(
        "apply: {} blocks outside the delta were compared with the source: {} bytes, all equal",
        comparer_.compared_blocks(), comparer_.compared_bytes());
  }
}

std::unique_ptr<VerifySchedule::Background> VerifySchedule::run_in_background(
    DestinationDisk &destination) {
  if (differs_ || finished() || has_background_.exchange(true)) return nullptr;
  return std::make_unique<Background>(*this, destination);
}

void VerifySchedule::end_background() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

VerifySchedule::Background::Background(VerifySchedule &schedule, DestinationDisk &destination)
    : schedule_(schedule) {
  schedule.thread_ = std::jthread([&schedule, &destination](const std::stop_token &stop) {
    // A failure is not an error yet: the same blocks are read again after the last client.
    try {
      schedule.advance(destination, [&] { return stop.stop_requested(); });
    } catch (const std::exception &e) {
      schedule.log_.info("apply: comparing with the source: {}", e.what());
    } catch (...) {
      schedule.log_.info("apply: comparing with the source: the destination cannot be read");
    }
  });
}

VerifySchedule::Background::~Background() {
  schedule_.end_background();
  schedule_.has_background_ = false;
}

}  // namespace apply
