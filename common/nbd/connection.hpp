// SPDX-License-Identifier: BSD-3-Clause
//
// One connection to an NBD server: a libnbd handle and the thread that drives it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/extents/extent.hpp"

namespace nbd {

struct Options {
  std::string uri;   // as nbd_connect_uri(3)
  std::string name;  // for messages; the URI if empty
  // For name resolution, connecting and the whole handshake (a host name that the resolver does not
  // answer for may take as long as the resolver's own limits).
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};  // for each request
  bool extents = false;                               // ask for base:allocation
  bool background = false;                            // gives way to others (util::give_way)
};

// What the server told in the handshake. Sizes in bytes.
struct Info {
  uint64_t size = 0;
  bool read_only = false;
  bool can_flush = false;
  bool can_fua = false;
  bool can_zero = false;
  bool can_trim = false;
  bool can_multi_conn = false;
  bool can_extents = false;  // base:allocation was granted
  uint32_t minimum_block = 1;
  uint32_t maximum_block = 32u << 20;  // a request's payload is never larger
  std::string description;             // NBD_INFO_DESCRIPTION, often empty
};

// 0, or an errno: the server's answer, ETIMEDOUT (then the connection is given up), ENOTCONN.
// Called exactly once, from the connection's thread, or from the submitting one if the connection is
// dead already; must not block. May submit further requests, but not to a connection that is dead.
using Completion = std::function<void(int errnum)>;

// Called for each run of extents that an answer holds, in order, before the completion.
using ExtentSink = std::function<void(const extents::Extent &)>;

enum Flags : uint32_t {
  fua = 1,      // durable before it is answered (only where can_fua)
  no_hole = 2,  // zero: keep it allocated
};

// The submitting methods may be called from any thread, also from a completion. Buffers are the
// caller's and must live until the completion; they are not copied.
class Connection {
 public:
  // Connects; throws util::Error within connect_timeout, naming the server and the likely cause.
  explicit Connection(const Options &options);
  // Outstanding requests complete with ENOTCONN first. Not from a completion.
  ~Connection();

  const Info &info() const;
  const std::string &name() const;
  bool dead() const;         // every further request will fail with ENOTCONN
  size_t in_flight() const;  // submitted and not completed

  void pread(std::span<std::byte> buffer, uint64_t offset, Completion done);
  void pwrite(std::span<const std::byte> buffer, uint64_t offset, uint32_t flags, Completion done);
  void zero(uint64_t count, uint64_t offset, uint32_t flags, Completion done);
  void trim(uint64_t count, uint64_t offset, uint32_t flags, Completion done);
  void flush(Completion done);
  void block_status(uint64_t count, uint64_t offset, ExtentSink sink, Completion done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Submits with `submit(completion)` and waits for it. Returns the errno. Not from a completion.
int wait_for(const std::function<void(Completion)> &submit);

}  // namespace nbd
