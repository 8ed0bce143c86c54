// SPDX-License-Identifier: BSD-3-Clause
//
// The helper process as the plugin sees it: from its start to its end, with one disk open.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/util/log.hpp"
#include "plugins/vsphere/http/connection.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/worker/handshake.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"

namespace vsphere::vddk {

// How long is waited for the helper before it is killed.
struct Deadlines {
  std::chrono::milliseconds start{180'000};    // loading, login, opening the disk
  std::chrono::milliseconds request{120'000};  // VDDK's own timeouts are shorter
  std::chrono::milliseconds stop{60'000};
};

// Any thread may use it. Requests take a slot each: acquire, read or query, wait.
class Worker {
 public:
  // Starts the program and waits until it has the disk open. Throws OpenError, or util::Error.
  Worker(const std::string &program, Start start, const Deadlines &deadlines, const util::Log &log);
  // As stop().
  ~Worker();
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  uint64_t sectors() const { return started_.sectors; }
  const std::string &mode() const { return started_.mode; }
  bool can_query() const { return started_.can_query; }

  // Its process has ended, or will.
  bool dead() const;

  // A slot of the shared memory, ours until it is destroyed. If a request is under way then, its end
  // is waited for: the helper may still write to the memory.
  class Slot {
   public:
    Slot(Slot &&other) noexcept
        : worker_(std::exchange(other.worker_, nullptr)), number_(other.number_) {}
    Slot &operator=(Slot &&) = delete;
    ~Slot();

    // Send a request. Throw TransportError.
    void read(uint64_t sector, uint32_t count);
    void query(uint64_t sector, uint64_t count, uint64_t chunk);
    // Its answer. Throws TransportError if none comes: the helper has ended, or hung and was killed.
    Done wait();
    std::span<std::byte> memory() const;

   private:
    friend class Worker;
    Slot(Worker *worker, unsigned number) : worker_(worker), number_(number) {}
    Worker *worker_;
    unsigned number_;
  };
  // Nothing if none is free and `may_wait` is false. Throws TransportError if the helper has ended.
  std::optional<Slot> acquire(bool may_wait);

  // Lets the helper finish what is under way, close the disk and end; kills it at the deadline. No
  // new request is taken from then on.
  void stop() noexcept;

 private:
  // Of a slot: what became of its request.
  struct Request {
    enum class State { none, under_way, answered };
    State state = State::none;
    uint64_t id = 0;  // a helper's answer to an older request of the slot is known by it
    Done answer;
  };

  void listen();
  void on_message(const Message &message);
  void give_up(const std::string &why) noexcept;
  uint64_t begin(unsigned slot);
  void send(const Message &message);
  [[noreturn]] void fail_dead() const;  // mutex_ held

  const Deadlines deadlines_;
  const util::Log log_;
  const SharedMemory memory_;
  std::optional<Channel> channel_;
  std::optional<Process> process_;
  Started started_;

  mutable std::mutex mutex_;  // protects what follows; never held while waiting for the helper
  std::condition_variable changed_;
  std::vector<Request> requests_;  // by slot
  std::vector<unsigned> free_;     // the last used one last: few pages are touched
  uint64_t last_id_ = 0;
  bool stopping_ = false;
  bool dead_ = false;
  std::string why_dead_;

  std::thread listener_;  // last: it uses what is above
};

}  // namespace vsphere::vddk
