// SPDX-License-Identifier: BSD-3-Clause
//
// Statistics of the reads, for the log at the end.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace vsphere {

// Any thread may use it.
class Counters {
 public:
  // Calls read(), which reads so many bytes, and counts it. It counts as failed if read() throws.
  template <typename Read>
  void count(uint64_t bytes, Read &&read) {
    using clock = std::chrono::steady_clock;
    auto begin = clock::now();
    ++requests_;
    ++failed_;  // taken back below
    read();
    --failed_;
    bytes_ += bytes;
    microseconds_ += static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begin).count());
  }

  void add_retry() { ++retries_; }

  // "read 4096 bytes in 2 requests, 0 failed, 0 retries, 1.2 ms each"; empty if nothing was read.
  std::string summary() const {
    uint64_t requests = requests_, failed = failed_;
    if (requests == 0) return "";
    double each = requests > failed ? 1e-3 * static_cast<double>(microseconds_) /
                                          static_cast<double>(requests - failed)
                                    : 0;
    return fmt::format("read {} bytes in {} requests, {} failed, {} retries, {:.1f} ms each",
                       bytes_.load(), requests, failed, retries_.load(), each);
  }

 private:
  std::atomic<uint64_t> requests_ = 0, failed_ = 0, retries_ = 0;
  std::atomic<uint64_t> bytes_ = 0, microseconds_ = 0;  // of the reads that did not fail
};

}  // namespace vsphere
