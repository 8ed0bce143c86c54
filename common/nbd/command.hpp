// SPDX-License-Identifier: BSD-3-Clause
//
// A request to an NBD server, as one object from its submission to its completion.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/extents/extent.hpp"

namespace nbd {

enum class Operation : uint8_t { read, write, zero, trim, flush, block_status };

enum Flags : uint32_t {
  fua = 1,      // durable before it is answered (only where can_fua)
  no_hole = 2,  // zero: keep it allocated
};

// The submitter owns it, and the buffer; both must live until completed() is called. It may be
// submitted again after that. Offsets and counts are in bytes; a flush has neither.
class Command {
 public:
  Command(const Command &) = delete;
  Command &operator=(const Command &) = delete;

  Operation operation = Operation::flush;
  uint32_t flags = 0;  // Flags
  uint64_t offset = 0;
  uint64_t count = 0;
  std::byte *into = nullptr;        // read: where the data goes
  const std::byte *data = nullptr;  // write: where it comes from

 protected:
  Command() = default;
  ~Command() = default;

 private:
  friend class Connection;
  friend struct CommandAccess;  // see issued_commands.cpp

  // Called once for each submission, from the connection's thread, or from the submitting thread if the
  // connection is dead already; must not block or throw. errnum: 0, the server's answer, ETIMEDOUT (the
  // connection is then given up), or ENOTCONN. May destroy the command. May submit commands, but not to
  // a connection that is dead.
  virtual void completed(int errnum) = 0;
  // block_status: each extent of the answer, in order, before completed().
  virtual void add_extent(const extents::Extent &) {}

  std::chrono::steady_clock::time_point deadline_{};
  bool answered_ = false;
  int errnum_ = 0;
};

}  // namespace nbd
