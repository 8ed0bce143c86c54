// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/transport/vddk/ipc/channel.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "common/util/error.hpp"
#include "common/util/fd.hpp"

namespace vsphere::vddk {

namespace {

constexpr timeval send_deadline = {30, 0};

// A buffer that may hold a password.
class Wiped {
 public:
  explicit Wiped(std::string text) : text(std::move(text)) {}
  ~Wiped() { Secret::wipe(text); }
  Wiped(const Wiped &) = delete;
  Wiped &operator=(const Wiped &) = delete;
  std::string text;
};

// Room for one file descriptor beside a packet, see cmsg(3).
union Control {
  cmsghdr header;
  char room[CMSG_SPACE(sizeof(int))];
};

util::Fd attached_to(msghdr &message) {
  util::Fd found;
  for (cmsghdr *c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    found = util::Fd(fd);
  }
  return found;
}

}  // namespace

Channel::Channel(util::Fd socket) : socket_(std::move(socket)) {
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &send_deadline, sizeof send_deadline);
}

std::pair<util::Fd, util::Fd> Channel::make_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
    util::fail_os(errno, "cannot make a pair of sockets");
  }
  return {util::Fd(fds[0]), util::Fd(fds[1])};
}

void Channel::send(const Message &message, int attached) const {
  Wiped packet(encode(message));
  iovec part = {packet.text.data(), packet.text.size()};
  msghdr m = {};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  Control control = {};
  if (attached >= 0) {
    m.msg_control = control.room;
    m.msg_controllen = sizeof control.room;
    cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof attached);
    std::memcpy(CMSG_DATA(c), &attached, sizeof attached);
  }
  ssize_t n;
  do {
    n = ::sendmsg(socket_.get(), &m, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return;
  if (errno == EAGAIN)
    util::fail(ETIMEDOUT, "the other end of the VDDK helper's socket does not read");
  util::fail_os(errno, "cannot send to the other end of the VDDK helper's socket");
}

void Channel::send_if_room(const Message &message) const noexcept {
  try {
    std::string packet = encode(message);
    ::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  } catch (const std::exception &) {  // dropped as well
  }
}

bool Channel::readable_within(std::chrono::milliseconds time) const {
  return util::readable_by(socket_.get(), std::chrono::steady_clock::now() + time);
}

std::optional<Message> Channel::receive(std::optional<Deadline> deadline, util::Fd *attached) {
  if (!util::readable_by(socket_.get(), deadline)) {
    util::fail(ETIMEDOUT, "no message from the VDDK helper in time");
  }
  Wiped packet(std::string(max_message, '\0'));
  iovec part = {packet.text.data(), packet.text.size()};
  Control control = {};
  msghdr m = {};
  m.msg_iov = &part;
  m.msg_iovlen = 1;
  m.msg_control = control.room;
  m.msg_controllen = sizeof control.room;
  ssize_t n;
  do {
    n = ::recvmsg(socket_.get(), &m, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n == 0 || (n < 0 && errno == ECONNRESET)) return std::nullopt;
  if (n < 0) util::fail_os(errno, "cannot read from the VDDK helper's socket");
  util::Fd came = attached_to(m);
  if ((m.msg_flags & MSG_TRUNC) != 0) {
    util::fail(EPROTO, "a message between the plugin and its VDDK helper is longer than {} bytes",
               max_message);
  }
  if (attached != nullptr) *attached = std::move(came);
  return decode(std::string_view(packet.text).substr(0, static_cast<size_t>(n)));
}

void Channel::shut() const noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

}  // namespace vsphere::vddk
