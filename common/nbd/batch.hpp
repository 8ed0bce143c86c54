// SPDX-License-Identifier: BSD-3-Clause
//
// Several requests that are under way at the same time, waited for together.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/extents/extent.hpp"
#include "common/nbd/command.hpp"
#include "common/util/mutex.hpp"

namespace nbd {

class Connection;

// The first request of a batch that failed.
struct Failure {
  int errnum;        // as Command::completed() has it
  std::string what;  // a sentence for a person; empty where only the errno was told
};

// One thread submits and waits; completions come from any thread. The destructor waits, so a buffer
// that outlives the batch outlives its requests.
class Batch {
 public:
  Batch() = default;
  ~Batch() { wait(); }
  Batch(const Batch &) = delete;
  Batch &operator=(const Batch &) = delete;

  // Each submits one request. Buffers are the caller's.
  void read(Connection &connection, std::span<std::byte> buffer, uint64_t offset);
  void write(Connection &connection, std::span<const std::byte> buffer, uint64_t offset,
             uint32_t flags);
  void zero(Connection &connection, extents::Range range, uint32_t flags);
  void trim(Connection &connection, extents::Range range, uint32_t flags);
  void flush(Connection &connection);
  // Appends what the server tells to `told`, which must not be touched before the end of wait().
  void block_status(Connection &connection, extents::Range range,
                    std::vector<extents::Extent> &told);

  // For requests that are made elsewhere: end() is called once for each begin(), from any thread. The
  // batch may be gone when end() returns.
  void begin();
  void end(int errnum, std::string what = {});

  // Waits until none is under way. Returns the errno of the first that failed, 0 if none did.
  int wait();
  // Waits at most so long; whether none is under way.
  bool wait_for(std::chrono::milliseconds time);
  // After wait().
  const std::optional<Failure> &failure() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return failure_; }

 private:
  class Member;
  void submit(Connection &connection, Member &member);
  Member &add(Operation operation, extents::Range range, uint32_t flags = 0);

  std::list<Member> members_;  // the submitting thread's
  util::Mutex mutex_;
  util::Condition idle_;
  size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<Failure> failure_ ABSL_GUARDED_BY(mutex_);
};

// A request of a batch.
class Batch::Member final : public Command {
 public:
  explicit Member(Batch &batch) : batch_(batch) {}
  std::vector<extents::Extent> *told = nullptr;

 private:
  void completed(int errnum) override { batch_.end(errnum); }
  void add_extent(const extents::Extent &extent) override { told->push_back(extent); }
  Batch &batch_;
};

}  // namespace nbd
