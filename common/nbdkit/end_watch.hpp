// SPDX-License-Identifier: BSD-3-Clause
//
// Whether nbdkit is told to end.
#pragma once

#define NBDKIT_API_VERSION 2
#include <nbdkit-common.h>

#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "common/util/waiters.hpp"

namespace nbdkit {

// False, at once, if nbdkit has been told to end, and on a client's thread also if the client has gone; nbdkit logs that
// as an error.
inline bool sleep(std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return nbdkit_nanosleep(static_cast<unsigned>(seconds.count()),
                          static_cast<unsigned>((time - seconds).count())) == 0;
}

// Ends what clients wait for when nbdkit is told to end.
//
// nbdkit ends only after each client's request has, and calls cleanup() after that. So a thread looks whether nbdkit is
// to end: only while a client waits for long, because nbdkit logs its answer as an error; and not the client's own thread, which
// nbdkit tells also that the client has gone. From after_fork() to cleanup().
class EndWatch {
 public:
  // end: called once, from the thread, when a client waits and nbdkit is to end. It must end that wait, and those that
  // begin later.
  EndWatch(util::Waiters &clients, std::function<void()> end)
      : clients_(clients), thread_([&clients, end = std::move(end)] {
          constexpr std::chrono::milliseconds long_wait{500}, slice{100};
          while (clients.wait_for_one(long_wait)) {
            if (!sleep(slice)) return end();
          }
        }) {}
  ~EndWatch() {
    clients_.stop();
    thread_.join();
  }
  EndWatch(const EndWatch &) = delete;
  EndWatch &operator=(const EndWatch &) = delete;

 private:
  util::Waiters &clients_;
  std::thread thread_;
};

}  // namespace nbdkit
