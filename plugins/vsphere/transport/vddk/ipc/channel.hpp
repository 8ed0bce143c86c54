// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "common/util/fd.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// One end of the socket between the plugin and its helper process. Any thread may send; one thread
// receives.
class Channel {
 public:
  explicit Channel(util::Fd socket);

  // Makes both ends. Throws util::Error.
  static std::pair<util::Fd, util::Fd> make_pair();

  // Passes a duplicate of the file descriptor `attached`, if it is not negative, to the other
  // process. Throws util::Error: EPIPE if the other end is closed, ETIMEDOUT if it does not read
  // for 30 seconds.
  void send(const Message &message, int attached = -1) const;
  // Drops the message if it would have to wait.
  void send_if_room(const Message &message) const noexcept;

  using Deadline = std::chrono::steady_clock::time_point;
  // Waits until receive() would return at once; false if it would not by then.
  bool readable_within(std::chrono::milliseconds time) const;

  // Returns nothing if the other end is closed. Stores the file descriptor that came with the
  // message, if one did, in `attached`. Throws util::Error: ETIMEDOUT at the deadline, EPROTO if
  // the packet is not a message.
  std::optional<Message> receive(std::optional<Deadline> deadline, util::Fd *attached = nullptr);

  // Ends the connection for both processes.
  void shut() const noexcept;

 private:
  const util::Fd socket_;
};

}  // namespace vsphere::vddk
