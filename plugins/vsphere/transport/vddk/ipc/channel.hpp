// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "common/util/fd.hpp"
#include "plugins/vsphere/transport/vddk/ipc/protocol.hpp"

namespace vsphere::vddk {

// One end of the socket between the plugin and its helper. Any thread may send; one may receive.
class Channel {
 public:
  explicit Channel(util::Fd socket);

  static std::pair<util::Fd, util::Fd> make_pair();  // throws util::Error

  // `attached`, if not negative, is a file descriptor for the other side to have as well. Throws
  // util::Error: EPIPE if the other side has gone, ETIMEDOUT if it does not read for 30 seconds.
  void send(const Message &message, int attached = -1) const;
  // Drops the message where it would have to wait. For what is not worth it.
  void send_if_room(const Message &message) const noexcept;

  // Nothing at the end of the socket. Throws util::Error ETIMEDOUT, EPROTO. `attached` gets the file
  // descriptor that came along, if one did.
  using Deadline = std::chrono::steady_clock::time_point;
  std::optional<Message> receive(std::optional<Deadline> deadline, util::Fd *attached = nullptr);

  // Both sides see the end from now on.
  void shut() const noexcept;

 private:
  const util::Fd socket_;
};

}  // namespace vsphere::vddk
