// SPDX-License-Identifier: BSD-3-Clause
//
// A helper process, from its start to its end, with one disk open.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "common/util/log.hpp"
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"
#include "plugins/vsphere/transport/vddk/ipc/shared_memory.hpp"
#include "plugins/vsphere/transport/vddk/worker/process.hpp"
#include "plugins/vsphere/transport/vddk/worker/request_table.hpp"

namespace vsphere::vddk {

// The helper is killed when one of these has passed.
struct Deadlines {
  std::chrono::milliseconds start{180'000};    // loading VDDK, logging in, opening the disk
  std::chrono::milliseconds request{120'000};  // VDDK's own timeouts are shorter
  std::chrono::milliseconds stop{20'000};
  // Called ten times a second while one of them is waited for, on the thread that waits. What it throws
  // (util::Error EINTR) goes to the caller; the helper then has a second to close the disk.
  std::function<void()> interrupt = [] {};
};

// May be used from any thread. A request takes a slot: acquire(), read() or query(), wait().
class Worker {
 public:
  // Starts the program and waits until it has the disk open. Throws OpenError (see open_error.hpp)
  // if VDDK refuses to open it, else util::Error.
  Worker(const std::string &program, Start start, const Deadlines &deadlines, const util::Log &log);
  // As stop().
  ~Worker();
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  uint64_t sectors() const { return started_.sectors; }
  const std::string &mode() const { return started_.mode; }
  bool can_query() const { return started_.can_query; }

  // The process has ended, or is being ended: it takes no requests.
  bool dead() const { return requests_.closed(); }

  // A slot of the shared memory, reserved until the object is destroyed. The destructor waits for a
  // request that is under way, as the helper may still write to the memory.
  class Slot {
   public:
    Slot(Slot &&other) noexcept
        : worker_(std::exchange(other.worker_, nullptr)), number_(other.number_) {}
    Slot &operator=(Slot &&) = delete;
    ~Slot();

    // Send a request. Throw TransportError.
    void read(uint64_t sector, uint32_t count);
    void query(uint64_t sector, uint64_t count, uint64_t chunk);
    // Returns the answer. Throws TransportError if none comes: the helper has ended, or it did not
    // answer by the deadline and is killed. Throws what Deadlines::interrupt throws.
    Done wait();
    std::span<std::byte> memory() const;

   private:
    friend class Worker;
    Slot(Worker *worker, unsigned number) : worker_(worker), number_(number) {}
    Worker *worker_;
    unsigned number_;
  };
  // Returns nothing if no slot is free and `may_wait` is false. Throws TransportError if the helper
  // is dead.
  std::optional<Slot> acquire(bool may_wait);

  // Lets the helper finish the requests under way, close the disk and end. Kills it at the
  // deadline, or a second after an interruption.
  void stop() noexcept;

 private:
  Worker(std::pair<util::Fd, util::Fd> sockets, const std::string &program, Start &&start,
         const Deadlines &deadlines, const util::Log &log);
  void listen();
  void on_message(const Message &message);
  void give_up(const std::string &why);
  void give_way();
  void send(const Message &message);

  const Deadlines deadlines_;
  const util::Log log_;
  const SharedMemory memory_;
  RequestTable requests_;
  Channel channel_;
  Process process_;
  const Started started_;
  std::thread listener_;  // receives; last, as it uses the members above
};

}  // namespace vsphere::vddk
