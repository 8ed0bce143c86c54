// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "common/nbd/pool.hpp"
#include "common/util/error.hpp"
#include "common/util/log.hpp"
#include "common/util/mutex.hpp"
#include "filters/pull/settings.hpp"
#include "filters/pull/source/remote_disk.hpp"

namespace pull {

// An NBD server, connected to when it is first needed, and again whenever it is lost. One thread connects, the
// others wait for it. Further connections are made by who calls add_connections() first; all go on with those there
// are.
class RemoteServer : public RemoteDisk {
 public:
  // Called with what the server tells, after each connecting. Throws util::Error ESTALE if that is
  // not the source that was there at the start: then every read fails for good.
  using Check = std::function<void(const nbd::Info &)>;

  RemoteServer(const std::string &uri, unsigned connections, const Patience &patience, Check check,
               util::Log log);

  void read(std::span<std::byte> buffer, uint64_t offset, Waiting waiting) override;
  void read_map(uint64_t from, const std::function<void(const extents::Extent &)> &add) override;
  void add_connections() override ABSL_LOCKS_EXCLUDED(mutex_);
  void confirm() override;
  bool is_given_up() const override ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    return failures_ > patience_.retries && !patience_.is_final && !interrupted_ && stale_.empty();
  }
  void connect_again() override { (void)connections(Until::connected); }
  void interrupt() override;
  void close() override;

  bool connected() const ABSL_LOCKS_EXCLUDED(mutex_) {
    util::MutexLock lock(mutex_);
    return pool_ && !pool_->dead();
  }
  uint64_t retries() const { return retries_; }  // attempts to connect after a failure, so far

  // nbdkit sends a map in pieces of 8 bytes; with several connections several of its threads do so.
  static constexpr unsigned connections_for_map = 4;
  // Connects once, asks, and disconnects: for the start, before the fork. f gets the connection,
  // and may add others up to those for a map.
  static void probe(const std::string &uri, const Patience &patience, const util::Log &log,
                    const std::function<void(nbd::Pool &)> &f);

 private:
  using Clock = std::chrono::steady_clock;
  using Connections = std::shared_ptr<nbd::Pool>;

  enum class Until { given_up, connected };  // how long is waited for the source
  Connections connections(Until until) ABSL_LOCKS_EXCLUDED(mutex_);
  void connect() ABSL_LOCKS_EXCLUDED(mutex_);
  void connected_to(Connections made) ABSL_LOCKS_EXCLUDED(mutex_);
  void failed(const util::Error &e) ABSL_LOCKS_EXCLUDED(mutex_);
  void lost(const Connections &pool, const util::Error &e) ABSL_LOCKS_EXCLUDED(mutex_);
  void pause(unsigned failures) ABSL_LOCKS_EXCLUDED(mutex_);
  std::chrono::milliseconds delay(unsigned failures) const;
  void check_interrupted() const;

  nbd::Options options_;
  const unsigned number_;
  const Patience patience_;
  const Check check_;
  const util::Log log_;
  std::atomic<bool> interrupted_ = false;
  std::atomic<uint64_t> retries_ = 0;
  std::atomic<bool> confirms_ = false;  // a new connection confirms what was read

  mutable util::Mutex mutex_;                 // not held while a server is connected to or read
  util::Condition changed_;                   // any of these
  Connections pool_ ABSL_GUARDED_BY(mutex_);  // empty: not connected
  bool pool_is_full_ ABSL_GUARDED_BY(mutex_) =
      false;  // it has all of its connections, or somebody makes them
  bool connecting_ ABSL_GUARDED_BY(mutex_) = false;
  bool was_lost_ ABSL_GUARDED_BY(mutex_) = false;     // a warning has said so
  unsigned failures_ ABSL_GUARDED_BY(mutex_) = 0;     // to connect, one after the other
  Clock::time_point next_ ABSL_GUARDED_BY(mutex_){};  // not connected to before that
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
  std::string stale_ ABSL_GUARDED_BY(mutex_);  // why it is not the source; empty: it is
};

}  // namespace pull
