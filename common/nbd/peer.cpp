// SPDX-License-Identifier: BSD-3-Clause
#include "common/nbd/peer.hpp"

#include <fcntl.h>
#include <libnbd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "common/nbd/uri.hpp"
#include "common/util/error.hpp"

namespace nbd {

namespace {

// libnbd 1.22 came with nbd+ssh:// and with tls-hostname=. Older ones ignore what they do not know in a query.
#ifdef LIBNBD_HAVE_NBD_SET_TLS_HOSTNAME
constexpr bool knows_tls_hostname = true;
#else
constexpr bool knows_tls_hostname = false;
#endif

constexpr const char *remedy =
    "give the URI tls-certificates=DIR, with the CA that signed the server's certificate as "
    "DIR/ca-cert.pem, or tls-psk-file=FILE; or tls-verify-peer=false to send the disk to whoever "
    "answers";

// Where libnbd looks if the URI does not say (nbd_set_tls_certificates(3)).
std::vector<std::string> default_directories() {
  const char *home = std::getenv("HOME");
  if (::geteuid() != 0 && home != nullptr) {
    return {std::string(home) + "/.pki/libnbd", std::string(home) + "/.config/pki/libnbd"};
  }
  return {"/etc/pki/libnbd"};
}

// Empty: it can be read.
std::string why_unreadable(const std::string &file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::strerror(errno);
  ::close(fd);
  return {};
}

// What the query says about TLS. The last of several wins, as in libnbd.
struct Parameters {
  bool key = false;
  bool verify = true;
  bool hostname = false;
  std::string certificates;
};

Parameters parameters_of(std::string_view uri, const std::string &name) {
  Parameters p;
  for (const auto &[key, value] : uri_parameters(uri)) {
    if (key == "tls-psk-file") p.key = true;
    if (key == "tls-certificates") p.certificates = value;
    if (key == "tls-hostname") p.hostname = knows_tls_hostname && !value.empty();
    if (key != "tls-verify-peer") continue;
    if (value != "true" && value != "false") {
      util::fail(EINVAL, "{}: tls-verify-peer={}: must be true or false", name, value);
    }
    p.verify = value == "true";
  }
  return p;
}

}  // namespace

Peer peer_of_uri(std::string_view uri, const std::string &name) {
  using Proof = Peer::Proof;
  const std::string_view scheme = uri.substr(0, uri.find(':'));
  if (!scheme.starts_with("nbds")) return {};
  if (scheme == "nbds+ssh" && !knows_tls_hostname) {
    util::fail(EINVAL, "{}: {}:// needs libnbd 1.22", name, scheme);
  }
  const Parameters p = parameters_of(uri, name);
  if (p.key) return {Proof::shared_key, {}};
  if (!p.verify) return {Proof::waived, {}};
  // libnbd takes the name in the certificate from a TCP address alone. With ssh that is the name of another server.
  if (scheme != "nbds" && !p.hostname) {
    util::fail(
        EINVAL,
        "{}: a certificate cannot be verified without the name that it must be for, which {}:// "
        "does not give: give the URI {}tls-psk-file=FILE; or tls-verify-peer=false to send the "
        "disk to whoever answers",
        name, scheme, knows_tls_hostname ? "tls-hostname=NAME, " : "");
  }
  const bool given = !p.certificates.empty();
  std::string looked;
  for (const auto &dir : given ? std::vector{p.certificates} : default_directories()) {
    const std::string why = why_unreadable(dir + "/ca-cert.pem");
    if (why.empty()) return {Proof::certificate, given ? "" : dir};
    looked += fmt::format("{}{}/ca-cert.pem: {}", looked.empty() ? "" : "; ", dir, why);
  }
  util::fail(EINVAL, "{}: the server cannot be verified ({}): {}", name, looked, remedy);
}

}  // namespace nbd
