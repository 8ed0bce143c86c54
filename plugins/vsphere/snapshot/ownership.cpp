// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/ownership.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "common/util/error.hpp"

namespace vsphere {

RunLock::RunLock(const std::string &server, const std::string &vm)
    : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  if (!socket_) util::fail_os(errno, "cannot make a Unix socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The first byte 0 makes it abstract. The moref comes first: a long server name is cut.
  std::string name = "nbdkit-replicate/vsphere/" + vm + "@" + server;
  size_t length = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, name.data(), length);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr *>(&address), size) == 0) return;
  if (errno != EADDRINUSE) util::fail_os(errno, "cannot reserve virtual machine {}", vm);
  util::fail(
      EBUSY,
      "virtual machine {} is being read by another nbdkit on this computer: wait for its end, "
      "or let one nbdkit serve all its disks (leave out disk=)",
      vm);
}

}  // namespace vsphere
