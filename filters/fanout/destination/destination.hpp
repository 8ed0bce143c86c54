// SPDX-License-Identifier: BSD-3-Clause
//
// One destination: what it is at (Machine), what it owes (Ledger, StateFile), the way to it while it
// is connected (Link), and a thread that connects, catches up, and sees it through to the end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/util/error.hpp"
#include "common/util/log.hpp"
#include "filters/fanout/catch_up/copier.hpp"
#include "filters/fanout/counters.hpp"
#include "filters/fanout/owed/ledger.hpp"
#include "filters/fanout/server/connection.hpp"
#include "filters/fanout/destination/state.hpp"
#include "filters/fanout/catch_up/write_buffers.hpp"
#include "filters/fanout/primary_readers.hpp"
#include "filters/fanout/catch_up/sampler.hpp"
#include "filters/fanout/settings.hpp"
#include "filters/fanout/owed/owed_file.hpp"
#include "filters/fanout/active_slots.hpp"

namespace fanout {

// Lives as long as the server. Between open() and close() there are clients, or what they left is
// being finished; the methods for requests are for then, and may be called from any thread. The
// others: by one thread at a time.
class Destination {
 public:
  using Connect = std::function<std::unique_ptr<Target>(const Settings &)>;
  struct Means {
    Readers &readers;  // of the primary
    Turns &turns;
    Connect connect;
    util::Log log;
    std::function<void()>
        changed;  // at_end() may have changed; called from any thread, no lock held
  };

  // `number`: its place in the list. Reads the state file. Throws util::Error.
  Destination(size_t number, Settings settings, const std::string &state_directory,
              Counters &counters, Means means);
  ~Destination();

  const std::string &name() const { return settings_.name; }
  bool async() const { return settings_.policy.async; }
  const StateFile &state_file() const { return state_file_; }

  // The first client has come: takes a turn if there is one. Throws if what is owed belongs to another
  // primary. Then connect_first(): connects if it has a turn; that fails the client, by util::Error,
  // unless the destination may come later (detach). Then start().
  void open(uint64_t primary_size, const std::string &export_name);
  void connect_first();
  void start();
  // The clients have gone: what is owed is copied, flushed, verified, then the connection closed.
  void drain();
  void resume();                // there is a client again
  bool at_end() const;          // of the drain: through with everything, or given up
  bool has_much_to_do() const;  // before it is: something to be copied, or to be read back
  // Disconnects, says what has become of it, and saves what is owed. It may wait for requests that are
  // under way; stop() before that has several destinations wait at the same time.
  void stop();
  void close();

  // What the server told, or an earlier connection; nothing while it has never been connected.
  std::optional<nbd::Info> info() const;
  void remember(const nbd::Info &info);

  // A client's request that changes the primary: to be begun before, and ended after it is changed.
  struct Part;
  // May wait a moment for the last of what is being caught up. Throws if the state cannot be saved.
  std::unique_ptr<Part> begin(Range range);
  // The Part's link, if it has one, is then to be used for the range.
  // `data`: what was written, if there is anything.
  void end(Part &part, bool primary_changed, bool durable, std::span<const std::byte> data);

  // A flush: nothing if there is none to be sent, for it is not live.
  struct FlushPart;
  std::unique_ptr<FlushPart> begin_flush();
  void end_flush(FlushPart &part);

  // Throws util::Error, with the name and what happened, once it has failed.
  void check() const;

  void poke();                   // something has changed that its thread may wait for
  void look();                   // brings the counters up to date
  std::string progress() const;  // one line

 private:
  using Clock = Machine::Clock;
  using State = Machine::State;
  class Guard;

  // The lock is held.
  void trouble(const Failure &failure);
  void gave_up();
  void drop_link();
  uint64_t merging_limit() const;
  bool may_send(Range range) const;
  bool take_along(Part &part, std::span<const std::byte> data);
  void note(util::Level level, std::string text) const;
  std::string debt() const;

  void check_fits(const nbd::Info &info) const;
  void connected(std::unique_ptr<Target> target);
  std::string save_at_end();

  // The thread.
  void run();
  bool step(Guard &guard);
  bool step_connected(Guard &guard);
  bool step_draining(Guard &guard);
  void connect(Guard &guard);
  void copy(Guard &guard);
  bool flush(Guard &guard);
  void save(Guard &guard);
  void verify(Guard &guard);
  bool verify_batch(Guard &guard, Sampler &sampler);
  void secure(Guard &guard);
  bool keep_turn(Guard &guard);
  Clock::time_point next_look() const;

  const size_t number_;
  const Settings settings_;
  Counters &counters_;
  const Means means_;
  StateFile state_file_;

  mutable std::mutex lock_;  // protects what follows
  mutable std::condition_variable changed_;
  mutable std::vector<std::pair<util::Level, std::string>> notes_;  // to be logged without the lock
  Machine machine_;
  Ledger ledger_{0};
  Offers offers_;
  std::shared_ptr<Link> link_;
  std::vector<std::shared_ptr<Link>> retired_;
  std::optional<nbd::Info> info_;
  std::string reason_;  // of the last trouble
  int errnum_ = 0;
  bool open_ = false;     // between open() and close()
  bool touched_ = false;  // a client has changed something
  bool merging_ =
      false;  // nearly caught up: new requests are sent, or wait for what is being copied
  bool has_turn_ = false;
  bool draining_ = false, verified_ = false, last_try_ = false;
  bool unsaved_ = false;   // the state file owes more than it must
  bool insecure_ = false;  // the state file may owe less than it must
  bool stop_ = false;
  Clock::time_point save_due_{};
  bool pass_failed_ = false;  // in this pass something was answered with an error

  struct Start {
    Clock::time_point time;
    uint64_t bytes, zero_bytes, requests, retries;
  } start_{};
  uint64_t last_bytes_ = 0, speed_ = 0;  // bytes, and bytes a second, at the last look
  Clock::time_point last_look_{};

  std::atomic<bool> failed_ = false;
  Copier copier_;
  std::thread thread_;
};

struct Destination::Part {
  Part(Destination &d, Range r) : destination(d), range(r) {}
  ~Part();  // one that was not ended failed
  Part(const Part &) = delete;
  Part &operator=(const Part &) = delete;

  Destination &destination;
  const Range range;
  Ledger::Id id;
  std::shared_ptr<Link> link;  // nothing: it is copied later
  Outcome outcome;
  bool over = false;
};

struct Destination::FlushPart {
  std::shared_ptr<Link> link;
  Ledger::Flush flush;
  Outcome outcome;
};

// Holds the lock, and logs what there is to be said when it lets go of it.
class Destination::Guard {
 public:
  explicit Guard(const Destination &d) : destination_(d), lock_(d.lock_) {}
  ~Guard() {
    if (lock_.owns_lock()) unlock();
  }
  void lock() { lock_.lock(); }
  void unlock();
  std::unique_lock<std::mutex> &held() { return lock_; }

 private:
  const Destination &destination_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace fanout
