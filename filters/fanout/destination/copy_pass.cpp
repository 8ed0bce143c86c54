// SPDX-License-Identifier: BSD-3-Clause
#include "filters/fanout/destination/copy_pass.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "filters/fanout/destination/failures.hpp"

namespace fanout {

namespace {

using Clock = DestinationData::Clock;

// The ledger and the kept writes, as the copier sees them.
class DestinationCopyQueue final : public CopyQueue {
 public:
  explicit DestinationCopyQueue(DestinationData &d) : d_(d) {}

  std::optional<Copy> next() override {
    DestinationLock lock(d_);
    if (!d_.state.connected()) return std::nullopt;
    if (auto write = d_.write_buffers.next()) {
      return Copy{write->id, write->id->range, std::move(write->data)};
    }
    d_.converging = !d_.async() && !d_.pass_failed &&
                    (d_.converging || d_.ledger.dirty_blocks() <= d_.converging_limit());
    auto id = d_.ledger.next_copy(Copier::largest);
    if (!id) return std::nullopt;
    return Copy{*id, (*id)->range};
  }

  void finished(Copy copy, const nbd::Failure *failure, bool read_failed) override {
    DestinationLock lock(d_);
    const bool arrived = failure == nullptr && !read_failed && d_.connection;
    d_.ledger.end(copy.id, arrived, false);
    if (arrived) d_.state.progress();
    if (!copy.data.empty()) {
      d_.write_buffers.recycle(std::move(copy.data));
    } else if (arrived) {
      d_.counters.copied += copy.range.length;
    }
    if (read_failed && d_.environment.primary.any()) {
      d_.reason = fmt::format("cannot read the primary at offset {}", copy.range.offset);
      d_.errnum = EIO;
      d_.pass_failed = true;
    }
    if (failure != nullptr) on_failure(d_, *failure);
    d_.changed.notify_all();
  }

  bool read_primary(std::span<std::byte> buffer, uint64_t offset) override {
    return d_.environment.primary.read(buffer, offset);
  }

  bool stop() override {
    DestinationLock lock(d_);
    return d_.stopping || !d_.state.connected() ||
           (d_.write_buffers.empty() && !d_.environment.primary.any()) ||
           (d_.owed_file.used() && d_.unsaved && Clock::now() >= d_.save_due);
  }

 private:
  DestinationData &d_;
};

}  // namespace

void copy_pass(DestinationData &d) {
  auto connection = d.connection;
  d.pass_failed = false;
  DestinationCopyQueue queue(d);
  bool complete = false;
  {
    DestinationUnlock unlock(d);
    complete = d.copier.run(queue, *connection);
  }
  if (!d.state.connected()) return;
  if (d.pass_failed) d.converging = false;
  if (!complete && !d.pass_failed) return;
  d.state.pass_ended(Clock::now(), d.pass_failed);
  if (check_given_up(d) || !d.pass_failed) return;
  d.note_reason(util::Level::warning, fmt::format("{}; {}, trying again", d.reason, d.owed_text()));
  d.changed.notify_all();
}

}  // namespace fanout
