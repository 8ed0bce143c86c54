// SPDX-License-Identifier: BSD-3-Clause
//
// A program that is linked with durable_calls.cpp calls the fsync, fdatasync, posix_fadvise, rename, renameat2 and link
// there. Syncs and advice do nothing, for no unit test lives through a power failure, and they would take most of its
// time; and the order of the calls can be seen.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace testing {

// Records the calls of the program while it exists; one at a time. May be used from any thread.
class DurableCalls {
 public:
  // called: with each call as list() has it, before it is carried out, on its thread; it makes no such call itself.
  explicit DurableCalls(std::function<void(const std::string &call)> called = nullptr);
  ~DurableCalls();
  DurableCalls(const DurableCalls &) = delete;
  DurableCalls &operator=(const DurableCalls &) = delete;

  // "sync NAME LENGTH" (of fsync and fdatasync), "sync directory", "forget NAME" (of POSIX_FADV_DONTNEED), "rename FROM
  // TO", "link FROM TO", with names without their directory, and ".tmp" for ".tmp-" and what is random behind it.
  std::vector<std::string> list() const;
};

}  // namespace testing
