// SPDX-License-Identifier: BSD-3-Clause
#include "plugins/vsphere/snapshot/ownership.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr std::string_view prefix = "nbdkit-replicate on ";

}  // namespace

std::string snapshot_name() {
  std::array<char, 65> host{};  // at most 64 bytes (gethostname(2)); vSphere allows names of 80
  if (::gethostname(host.data(), host.size() - 1) != 0) util::fail_os(errno, "gethostname");
  return std::string(prefix) + host.data();
}

SnapshotOwner owner_of(const std::string &snapshot, const std::string &our_name) {
  if (snapshot == our_name) return SnapshotOwner::this_host;
  return snapshot.starts_with(prefix) ? SnapshotOwner::other_host : SnapshotOwner::foreign;
}

RunLock::RunLock(const std::string &server, const std::string &vm)
    : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  if (!socket_) util::fail_os(errno, "cannot make a Unix socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The first byte, 0, makes the name abstract. A long server name is cut, so the moref comes first.
  std::string name = "nbdkit-replicate/vsphere/" + vm + "@" + server;
  size_t length = std::min(name.size(), sizeof address.sun_path - 1);
  std::memcpy(address.sun_path + 1, name.data(), length);
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr *>(&address), size) == 0) return;
  if (errno != EADDRINUSE) util::fail_os(errno, "cannot reserve virtual machine {}", vm);
  util::fail(
      EBUSY,
      "virtual machine {} is being read by another nbdkit on this computer: wait until it ends, "
      "or let one nbdkit serve all disks (leave out disk=)",
      vm);
}

}  // namespace vsphere
