// SPDX-License-Identifier: BSD-3-Clause
//
// Ends what clients wait for when nbdkit is told to end. A part of the door.
#pragma once

#include <chrono>
#include <thread>

#include "common/nbdkit/sleep.hpp"
#include "filters/pull/pull_server.hpp"

namespace pull {

// nbdkit ends only after each client's request has, and calls cleanup() after that. So a thread looks whether nbdkit is
// to end, while a client waits for the source.
class EndWatch {
 public:
  explicit EndWatch(PullServer &server)
      : server_(server), thread_([this] {
          constexpr std::chrono::milliseconds slice{100};
          while (server_.wait_for_waiting_client()) {
            if (!nbdkit::sleep(slice)) return server_.interrupt();
          }
        }) {}
  ~EndWatch() {
    server_.end_waiting_clients();
    thread_.join();
  }
  EndWatch(const EndWatch &) = delete;
  EndWatch &operator=(const EndWatch &) = delete;

 private:
  PullServer &server_;
  std::thread thread_;
};

}  // namespace pull
