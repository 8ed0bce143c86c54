// SPDX-License-Identifier: BSD-3-Clause
//
// How the server of an NBD URI proves who it is.
//
// libnbd 1.14 connects to anybody with nbds:// if it finds no CA (no tls-certificates=, a directory
// that is missing, or one without ca-cert.pem), and where there is no host name to verify (Unix
// sockets, vsock, ssh; since libnbd 1.22 tls-hostname= in the URI is one). So this decides before libnbd
// connects, and tells it all of it.
#pragma once

#include <string>
#include <string_view>

namespace nbd {

struct Peer {
  enum class Proof {
    none,         // no TLS
    shared_key,   // tls-psk-file=: both sides prove that they have the key
    certificate,  // for the host name, signed by the CA in `certificates`
    waived,       // TLS, but tls-verify-peer=false: the server may be anybody
  };
  Proof proof = Proof::none;
  std::string certificates;  // directory with ca-cert.pem; empty: as the URI says, or none
};

// Reads the URI, and looks for the CA. Throws util::Error EINVAL, with `name` and what to give, if
// the server could not be verified and the URI does not say that it need not be.
Peer peer_of_uri(std::string_view uri, const std::string &name);

}  // namespace nbd
