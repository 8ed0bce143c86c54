// SPDX-License-Identifier: BSD-3-Clause
//
// The commands of one connection that libnbd has been given.
#pragma once

#include <libnbd.h>

#include <cstdint>
#include <deque>

#include "common/nbd/command.hpp"

namespace nbd {

using Commands = std::deque<Command *>;

// Whether the handle has lost its server, or is closed. libnbd answers EINVAL to all that is asked of it
// then.
bool has_ended(nbd_handle *h);

// The connection's thread alone. Commands are kept in the order of their submission, which is that of
// their deadlines.
class IssuedCommands {
 public:
  // Gives the command to libnbd. If libnbd refuses it, it counts as answered.
  void issue(nbd_handle *h, Command &command);

  // Takes out those that are answered.
  struct Answer {
    Command *command;
    int errnum;
  };
  std::deque<Answer> take_answered();
  // Takes out all of them. The handle must be closed before that: libnbd has their buffers.
  Commands take_all();

  bool empty() const { return commands_.empty(); }
  // Until the first deadline, 0 if it is over; -1 if no answer is awaited.
  int milliseconds_to_deadline() const;

 private:
  Commands commands_;
};

}  // namespace nbd
