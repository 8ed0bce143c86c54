// SPDX-License-Identifier: BSD-3-Clause
//
// Threads that are seen to wait. A test that says "this thread must wait" looks at what the kernel says of the thread; a pause
// in which it could have gone on would tell nothing on a busy machine.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace testing {

// The states of threads, and how often each has left a processor: lines of the files "status", proc(5). A thread may be the
// first of another process. Nothing for those that have ended.
inline std::string status(std::span<const pid_t> threads) {
  std::string all;
  for (pid_t tid : threads) {
    std::ifstream file("/proc/" + std::to_string(tid) + "/status");
    for (std::string line; std::getline(file, line);) {
      const bool wanted = line.starts_with("State:") || line.find("ctxt_switches:") != line.npos;
      if (wanted) all += line + '\n';
    }
  }
  return all;
}

// Blocks until all of the threads sleep, as in a lock or a condition variable, and stay asleep: true. False if they have
// ended, or if that takes longer than a minute. The kernel tells nobody when a thread falls asleep, so it is asked again
// and again. (A thread that sleeps for another reason for some milliseconds is taken for one that waits: a test can then
// miss a fault, and never sees one that is not there.)
inline bool all_wait(std::span<const pid_t> threads) {
  std::string before;
  for (int looks = 0, same = 0; looks < 60000; ++looks) {
    std::string now = status(threads);
    if (now.empty()) return false;
    bool awake = false;
    for (size_t at = 0; (at = now.find("State:\t", at)) != now.npos; at += 8) {
      awake |= now[at + 7] != 'S';
    }
    same = now == before && !awake ? same + 1 : 0;
    if (same == 3) return true;
    before = std::move(now);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// The same for all threads of this process but the calling one.
inline bool others_wait() {
  std::vector<pid_t> threads;
  for (const auto &entry : std::filesystem::directory_iterator("/proc/self/task")) {
    pid_t tid = std::stoi(entry.path().filename());
    if (tid != ::gettid()) threads.push_back(tid);
  }
  return all_wait(threads);
}

// A thread that runs `function`. It is joined at the end of the object.
class WaitingThread {
 public:
  template <typename Function>
  explicit WaitingThread(Function function)
      : thread_([this, function = std::move(function)]() mutable {
          tid_ = ::gettid();
          function();
          over_ = true;
        }) {}
  WaitingThread(const WaitingThread &) = delete;
  WaitingThread &operator=(const WaitingThread &) = delete;

  // Blocks until the function waits: true; or is over: false.
  bool waits() {
    while (tid_ == 0) std::this_thread::yield();
    const pid_t tid = tid_;
    return testing::all_wait({&tid, 1}) && !over_;
  }
  void join() { thread_.join(); }

 private:
  std::atomic<pid_t> tid_ = 0;
  std::atomic<bool> over_ = false;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace testing
