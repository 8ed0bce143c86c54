// SPDX-License-Identifier: BSD-3-Clause
//
// One connection to an NBD server: a libnbd handle and the thread that drives it.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "common/nbd/command.hpp"

namespace nbd {

inline constexpr const char *base_allocation = "base:allocation";

struct Options {
  std::string uri;   // as nbd_connect_uri(3)
  std::string name;  // for messages; the URI if empty
  // For name resolution, connecting and the whole handshake (a host name that the resolver does not
  // answer for may take as long as the resolver's own limits).
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds request_timeout{60'000};  // for each request
  std::string context;      // metadata context whose extents are asked for; empty: none
  bool background = false;  // gives way to others (util::give_way)
  // Called before a connection is made, several times a second while it is made, and while Pool::pread() and read_map()
  // wait, on the thread that waits. What it throws (util::Error EINTR) ends the wait and goes to the caller.
  std::function<void()> interrupt = nullptr;
  // A handshake that is interrupted is finished first if that takes no longer: a server logs an error else.
  std::chrono::milliseconds leave_timeout{2'000};
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
  bool can_extents = false;  // Options::context was granted
  bool long_status = false;  // block status of more than 4 GiB at once
  uint32_t minimum_block = 1;
  uint32_t maximum_block = 32u << 20;  // a request's payload is never larger
  bool verified = true;                // false: TLS, and the server may be anybody
  std::string description;             // NBD_INFO_DESCRIPTION, often empty
};

// Whether a request with this result says that the connection has ended or is about to. ENOTCONN and
// ETIMEDOUT are Connection's own: no server sends them. A server that shuts down sends ESHUTDOWN.
inline bool is_lost(int errnum) {
  return errnum == ENOTCONN || errnum == ETIMEDOUT || errnum == ESHUTDOWN;
}

class Connection {
 public:
  // Connects; throws util::Error within connect_timeout, naming the server and the likely cause.
  explicit Connection(const Options &options);
  // Outstanding requests complete with ENOTCONN first. Not from Command::completed().
  ~Connection();

  const Info &info() const;
  const std::string &name() const;
  bool dead() const;         // every further request will fail with ENOTCONN
  size_t in_flight() const;  // submitted and not completed

  // Ends it: the requests under way and all later ones complete with ENOTCONN. From any thread.
  void give_up();

  // From any thread, also from Command::completed(). Does not block. (To wait for requests, see Batch.)
  void submit(Command &command);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nbd
