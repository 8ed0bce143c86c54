// SPDX-License-Identifier: BSD-3-Clause
#include "filters/apply/verify/verify_schedule.hpp"

#include <algorithm>
#include <exception>

#include "common/util/error.hpp"

namespace apply {

namespace {

// A destination as the verifier reads it: in whole blocks of the layer below.
class DestinationBytes : public Bytes {
 public:
  explicit DestinationBytes(Destination &destination) : destination_(destination) {}

  void read(std::span<const Read> reads) override {
    for (const Read &one : reads) {
      const uint64_t block = destination_.minimum_block();
      uint64_t end = one.offset + one.buffer.size();
      uint64_t start = one.offset / block * block;
      end = std::min((end + block - 1) / block * block, destination_.size());
      if (end - start == one.buffer.size()) {
        destination_.read(one.buffer, one.offset);
        continue;
      }
      whole_.resize(end - start);
      destination_.read(whole_, start);
      std::copy_n(whole_.begin() + static_cast<ptrdiff_t>(one.offset - start), one.buffer.size(),
                  one.buffer.begin());
    }
  }

 private:
  Destination &destination_;
  std::vector<std::byte> whole_;
};

}  // namespace

void Auditor::advance(Destination &destination, const std::function<bool()> &stop) {
  std::lock_guard guard(verifying_);
  if (different_ || verifier_.finished()) return;
  if (!source_) source_ = means_.honest();
  DestinationBytes bytes(destination);
  Verifier::Result result = verifier_.advance(*source_, bytes, stop);
  if (result.end == Verifier::End::finished) {
    source_.reset();
    log_.info(
        "apply: {} blocks outside the delta were compared with the source: {} bytes, all equal",
        verifier_.compared_blocks(), verifier_.compared_bytes());
  }
  if (result.end == Verifier::End::differs) {
    different_ = true;
    source_.reset();
    means_.differs(result.offset);
  }
}

std::unique_ptr<Auditor::Background> Auditor::beside(Destination &destination) {
  if (different_ || verifier_.finished() || taken_.exchange(true)) return nullptr;
  return std::make_unique<Background>(*this, destination);
}

Auditor::Background::Background(Auditor &auditor, Destination &destination)
    : auditor_(auditor), thread_([this, &destination](const std::stop_token &stop) {
        try {
          auditor_.advance(destination, [&] { return stop.stop_requested(); });
        } catch (const std::exception &e) {
          // It is tried again when the last client has gone, and told then.
          auditor_.log_.info("apply: comparing with the source: {}", e.what());
        } catch (...) {
          auditor_.log_.info("apply: comparing with the source: the destination cannot be read");
        }
      }) {}

Auditor::Background::~Background() {
  thread_.request_stop();
  thread_.join();
  auditor_.taken_ = false;
}

}  // namespace apply
