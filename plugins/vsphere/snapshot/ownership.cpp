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
#include <ctime>
#include <string_view>

#include "common/util/error.hpp"

namespace vsphere {

namespace {

constexpr std::string_view prefix = "nbdkit-replicate on ";
constexpr std::string_view token_key = "token=";
constexpr size_t token_digits = 32;

std::string host_name() {
  std::array<char, 65> host{};  // at most 64 bytes (gethostname(2)); vSphere allows names of 80
  if (::gethostname(host.data(), host.size() - 1) != 0) util::fail_os(errno, "gethostname");
  return host.data();
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

}  // namespace

std::string snapshot_name() {
  return std::string(prefix) + host_name();
}

std::string snapshot_description(const std::string &token) {
  return fmt::format(
      "Made by nbdkit-replicate, process {} on {}, at {} to read the disks. It is removed when the "
      "copy "
      "ends. Remove it yourself only if that process does not run any more. {}{}",
      ::getpid(), host_name(), now(), token_key, token);
}

bool is_of_plugin(std::string_view name) {
  return name.starts_with(prefix);
}

std::string_view token_of(std::string_view description) {
  const auto at = description.rfind(token_key);
  if (at == std::string_view::npos) return {};
  const std::string_view token = description.substr(at + token_key.size(), token_digits);
  const bool digits = token.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return digits && token.size() == token_digits ? token : std::string_view();
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
