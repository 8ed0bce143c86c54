// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/handshake.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/nbd/long_status.hpp"
#include "common/nbd/peer.hpp"
#include "common/util/error.hpp"

namespace nbd {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t wait_slice = 100;  // ms, between two calls of Options::interrupt

// libnbd repeats a URI that it cannot parse; a user name and a password in it are not for messages.
std::string without_uri(std::string text, const std::string &uri, const std::string &name) {
  for (size_t at = 0; !uri.empty() && (at = text.find(uri, at)) != std::string::npos;) {
    text.replace(at, uri.size(), name);
    at += name.size();
  }
  return text;
}

[[noreturn]] void fail_connect(const Options &options, const std::string &name) {
  int errnum = nbd_get_errno();
  const char *text = nbd_get_error();
  std::string why = text == nullptr ? "unknown error" : without_uri(text, options.uri, name);
  if (why.find("requires TLS") != std::string::npos) {
    why +=
        ": give it as nbds://, with tls-certificates= or tls-psk-file= if it wants to know who we "
        "are";
  }
  if (why.find("certificate verification") != std::string::npos) {
    why +=
        ": the server's certificate is not signed by the CA in ca-cert.pem (tls-certificates=), is "
        "for "
        "another host name than that of the URI, or has expired";
  }
  util::fail(errnum != 0 ? errnum : ENOTCONN, "{}: cannot connect: {}", name, why);
}

// A server that vanishes without a word is noticed within a minute also while nothing is asked of it:
// TCP's own patience with a silent connection is without end.
void keep_alive(int fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof address;
  if (fd < 0 || ::getsockname(fd, reinterpret_cast<sockaddr *>(&address), &length) < 0) return;
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return;
  const std::pair<int, int> options[] = {{TCP_KEEPIDLE, 30}, {TCP_KEEPINTVL, 10}, {TCP_KEEPCNT, 3}};
  for (auto [option, value] : options) {
    ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
  }
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

// Why nothing came within the deadline, as far as the state of the handshake tells.
[[noreturn]] void fail_deadline(nbd_handle *h, const Options &options, const std::string &name) {
  double seconds = static_cast<double>(options.connect_timeout.count()) / 1000;
  const char *state = nbd_connection_state(h);
  if (state != nullptr && std::string_view(state).find("magic") != std::string_view::npos) {
    util::fail(
        ETIMEDOUT,
        "{}: connected, but the server sent no greeting within {:g} s: it has no free client "
        "slot (qemu-nbd serves one client at a time unless started with --shared=N: give it "
        "the number of connections plus one, or 0 for no limit) or it is no NBD server",
        name, seconds);
  }
  util::fail(ETIMEDOUT,
             "{}: no connection within {:g} s: check the address, the network, and that the server "
             "runs",
             name, seconds);
}

// A socket of this machine takes 208 KiB at a time if nothing is said, and then waits for the other
// side. For the others the kernel finds what is best, unless it is told.
void send_in_large_pieces(int fd) {
  int domain = 0;
  socklen_t length = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX) return;
  constexpr int bytes = 2 << 20;
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0) return;
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);  // as much as is allowed
}

// A server that is left in the middle of the handshake logs an error, about a client that only has nothing more to
// ask. So the handshake is finished, if the server goes on with it, and the connection ended as any other.
void leave(nbd_handle *h, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  sockaddr_storage address = {};
  socklen_t length = sizeof address;
  const int fd = nbd_aio_get_fd(h);
  if (fd < 0 || ::getpeername(fd, reinterpret_cast<sockaddr *>(&address), &length) < 0) return;
  while (nbd_aio_is_ready(h) != 1) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0 || nbd_poll(h, static_cast<int>(left)) < 0) return;
  }
  nbd_aio_disconnect(h, 0);
}

void interrupt(nbd_handle *h, const Options &options) {
  if (!options.interrupt) return;
  try {
    options.interrupt();
  } catch (...) {
    leave(h, options.leave_timeout);
    throw;
  }
}

}  // namespace

Handle connect(const Options &options, const std::string &name) {
  if (options.interrupt) options.interrupt();
  auto deadline = Clock::now() + options.connect_timeout;
  Handle h(nbd_create());
  if (!h) fail_connect(options, name);

  const Peer peer = peer_of_uri(options.uri, name);
  nbd_set_tls_verify_peer(h.get(), peer.proof == Peer::Proof::certificate);
  // Where the URI names a directory it replaces this one.
  if (!peer.certificates.empty()) nbd_set_tls_certificates(h.get(), peer.certificates.c_str());
  nbd_set_uri_allow_local_file(h.get(), true);  // ?tls-certificates= and ?tls-psk-file=
  nbd_set_full_info(h.get(), true);
  nbd_set_pread_initialize(h.get(), false);
  if (!options.context.empty() && nbd_add_meta_context(h.get(), options.context.c_str()) < 0) {
    fail_connect(options, name);
  }
  if (nbd_aio_connect_uri(h.get(), options.uri.c_str()) < 0) fail_connect(options, name);

  while (nbd_aio_is_ready(h.get()) != 1) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) fail_deadline(h.get(), options, name);
    interrupt(h.get(), options);
    const auto wait = options.interrupt ? std::min(left, wait_slice) : left;
    if (nbd_poll(h.get(), static_cast<int>(wait)) < 0) fail_connect(options, name);
    if (nbd_aio_is_dead(h.get()) == 1 || nbd_aio_is_closed(h.get()) == 1)
      fail_connect(options, name);
  }
  keep_alive(nbd_aio_get_fd(h.get()));
  send_in_large_pieces(nbd_aio_get_fd(h.get()));
  return h;
}

Info read_info(nbd_handle *h, const Options &options) {
  Info info;
  info.verified = peer_of_uri(options.uri, options.name).proof != Peer::Proof::waived;
  int64_t size = nbd_get_size(h);
  if (size < 0) util::fail(EINVAL, "cannot get the size of the export: {}", nbd_get_error());
  info.size = static_cast<uint64_t>(size);
  info.read_only = nbd_is_read_only(h) == 1;
  info.can_flush = nbd_can_flush(h) == 1;
  info.can_fua = nbd_can_fua(h) == 1;
  info.can_zero = nbd_can_zero(h) == 1;
  info.can_trim = nbd_can_trim(h) == 1;
  info.can_multi_conn = nbd_can_multi_conn(h) == 1;
  info.can_extents =
      !options.context.empty() && nbd_can_meta_context(h, options.context.c_str()) == 1;
  info.long_status = has_long_status(h);
  int64_t minimum = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
  int64_t maximum = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
  if (minimum > 0) info.minimum_block = static_cast<uint32_t>(minimum);
  if (maximum > 0 && maximum < info.maximum_block) {
    info.maximum_block = static_cast<uint32_t>(maximum);
  }
  if (char *text = nbd_get_export_description(h)) {
    info.description = text;
    std::free(text);
  }
  return info;
}

std::string library_version() {
  const Handle h(nbd_create());
  const char *text = h ? nbd_get_version(h.get()) : nullptr;
  return text == nullptr ? "unknown" : text;
}

}  // namespace nbd
