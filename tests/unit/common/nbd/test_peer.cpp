// SPDX-License-Identifier: BSD-3-Clause
#include <libnbd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <fstream>

#include "common/nbd/peer.hpp"
#include "common/util/error.hpp"
#include "tests/unit/directory.hpp"

using nbd::peer_of_uri;
using Proof = nbd::Peer::Proof;

namespace {

std::string refused(const std::string &uri) {
  try {
    peer_of_uri(uri, "dr");
    return "";
  } catch (const util::Error &e) {
    CHECK(e.errnum() == EINVAL);
    return e.what();
  }
}

}  // namespace

TEST_CASE("a server with TLS proves who it is, or the URI says that it need not") {
  testing::Directory d;
  const std::string with_directory = "nbds://h/?tls-certificates=" + d.path();
  CHECK(peer_of_uri("nbd://h/?tls-certificates=/nosuch", "dr").proof == Proof::none);
  CHECK(peer_of_uri("nbds+unix://a@/?socket=/s&tls-psk-file=/k", "dr").proof == Proof::shared_key);
  CHECK(peer_of_uri("nbds://h/?tls-verify-peer=false", "dr").proof == Proof::waived);
  CHECK_THAT(refused(with_directory),
             Catch::StartsWith("dr: ") && Catch::Contains(d.path() + "/ca-cert.pem: No such file"));
  std::ofstream(d.file("ca-cert.pem")) << "x";
  CHECK(peer_of_uri(with_directory, "dr").proof == Proof::certificate);
  CHECK(peer_of_uri(with_directory, "dr").certificates.empty());  // the URI has it

  // Nobody's name is in these.
  CHECK_THAT(refused("nbds+unix:///?socket=/s&tls-certificates=" + d.path()),
             Catch::Contains("tls-psk-file"));
  CHECK_THAT(refused("nbds+vsock:///?tls-certificates=" + d.path()), Catch::Contains("nbds+vsock"));
#ifdef LIBNBD_HAVE_NBD_SET_TLS_HOSTNAME
  CHECK(peer_of_uri("nbds+unix:///?socket=/s&tls-hostname=h&tls-certificates=" + d.path(), "dr")
            .proof == Proof::certificate);
  CHECK(peer_of_uri("nbds+ssh://h/?tls-hostname=h&tls-certificates=" + d.path(), "dr").proof ==
        Proof::certificate);
  CHECK_THAT(refused("nbds+ssh://h/?tls-certificates=" + d.path()),
             Catch::Contains("which nbds+ssh:// does not give: give the URI tls-hostname=NAME"));
  CHECK_THAT(refused("nbds+unix:///?socket=/s&tls-hostname=&tls-certificates=" + d.path()),
             Catch::Contains("tls-hostname=NAME"));
  CHECK_THAT(refused("nbds+unix:///?socket=/s&tls-hostname=h&tls-certificates=/nosuch"),
             Catch::Contains("/nosuch/ca-cert.pem"));
#else
  // This libnbd would ignore it, and connect to anybody.
  CHECK_THAT(refused("nbds+unix:///?socket=/s&tls-hostname=h&tls-certificates=" + d.path()),
             Catch::Contains("which nbds+unix:// does not give: give the URI tls-psk-file=FILE"));
  CHECK_THAT(refused("nbds+ssh://h/?tls-verify-peer=false"),
             Catch::Contains("nbds+ssh:// needs libnbd 1.22"));
#endif
  // What libnbd does not take for the parameter is not taken for it here.
  CHECK(refused("nbds://h/?tls-certificates=/nosuch&TLS-PSK-FILE=/k") != "");
  CHECK(refused("nbds://h/?tls-certificates=/nosuch&x=;tls-psk-file=/k&y") != "");
  CHECK(refused("nbds://h/?tls-certificates=/nosuch#&tls-psk-file=/k") != "");
  CHECK(refused(with_directory + "&tls-certificates=/nosuch") != "");
  CHECK(refused(with_directory + "&tls-verify-peer=0") != "");
}
