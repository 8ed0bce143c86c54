# SPDX-License-Identifier: BSD-3-Clause
"""Which NBD servers libnbd verifies when it connects to them by TLS, and which it does not.

With certificates (nbd_set_tls_certificates(3)) it needs ca-cert.pem of the authority. If it finds none it accepts
every server, without an error; the system's authorities, which the manual page names, are not used. Where a URI
has no host name of the server (Unix and vsock sockets, ssh) it verifies a certificate only since 1.22, and if the URI has
tls-hostname=, which older ones ignore. With a pre-shared key, each side proves that it has the key.
"""
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import nbd

from .contract import is_plugin, plain_uri
from .messages import WrongUse
from .parameters import bare, has, is_false, value

_CA = "ca-cert.pem"


@dataclass(frozen=True)
class Peer:
    """An NBD server that a module connects to, and what the module is told about TLS."""

    name: str  # for messages
    certificates: str | None  # a directory
    has_key: bool  # a pre-shared one
    by_name: bool  # libnbd knows the name that the certificate must be for
    verified: bool  # unless the user has said not to
    remedy: str  # what to give where there is no certificate of an authority

    def check(self) -> None:
        """Throws WrongUse if the server would not be verified, though the user has not said so."""
        if self.has_key or not self.verified:
            return
        if not self.by_name:
            hostname = "tls-hostname=NAME in the URI, " if _knows_tls_hostname() else ""
            raise WrongUse(f"{self.name}: libnbd does not verify a certificate without the name that it must be for, which "
                           f"an address that is not TCP does not give: use {hostname}a pre-shared key, " + _OR_NOT)
        places = [self.certificates] if self.certificates is not None else _default_certificates()
        if not any(os.access(os.path.join(place, _CA), os.R_OK) for place in places):
            raise WrongUse(f"{self.name}: libnbd would accept any server in place of this one, as there is no {_CA} in "
                           f"{' or '.join(places) or 'the home directory'}: give {self.remedy}, where {_CA} is the "
                           "certificate of the authority that has signed the server's, " + _OR_NOT)

    def warning(self) -> str | None:
        if self.has_key or self.verified:
            return None
        return f"{self.name}: the server is not verified, another one in its place is not noticed"


_OR_NOT = "or tls-verify-peer=false in the URI to accept any server"


def peer_of_uri(option: str, uri: str) -> Peer | None:
    """For a module that gives the URI to libnbd as it is. None: it does not want TLS."""
    parts = urllib.parse.urlsplit(uri)
    if not parts.scheme.lower().startswith("nbds"):
        return None
    query = dict(urllib.parse.parse_qsl(parts.query))
    return Peer(
        name=f"{option} {plain_uri(uri)}",
        certificates=query.get("tls-certificates"),
        has_key="tls-psk-file" in query,
        by_name=parts.scheme.lower() == "nbds" or (bool(query.get("tls-hostname")) and _knows_tls_hostname()),
        verified=not is_false(query.get("tls-verify-peer", "")),
        remedy="tls-certificates=DIRECTORY in the URI")


def peer_of_plugin(option: str, plugin: str, parameters: Sequence[str]) -> Peer | None:
    """For nbdkit-nbd-plugin(1), which has parameters of its own. None: it is another plugin, or does not want TLS."""
    if not is_plugin(plugin, "nbd"):
        return None
    uri = _uri(parameters)
    mode = value(parameters, "tls")
    given = next((p for p in parameters if re.match("tls-(certificates|verify|username|psk)=", p)), None)
    peer = peer_of_uri(option, uri) if uri else None
    if peer is None and mode is None and given and not uri:
        raise WrongUse(f"{option} {plugin} {given}: without tls=require, a server that has no TLS is accepted as well: "
                       "add tls=require, or tls=on if that is meant")
    if peer is None and mode != "require":
        return None
    if peer is not None and (peer.certificates or peer.has_key):
        raise WrongUse(f"{peer.name}: this plugin does not take names of files from the URI: give "
                       "tls-certificates=DIRECTORY or tls-psk=FILE as a parameter after it")
    return Peer(
        name=peer.name if peer else f"{option} {plugin} tls=require",
        certificates=value(parameters, "tls-certificates"),
        has_key=has(parameters, "tls-psk"),
        by_name=peer.by_name if peer else has(parameters, "hostname"),
        verified=(peer is None or peer.verified) and not is_false(value(parameters, "tls-verify") or ""),
        remedy="tls-certificates=DIRECTORY as a parameter")


def added_parameters(plugin: str, parameters: Sequence[str]) -> Iterator[str]:
    """What nbdkit-nbd-plugin(1) needs if its URI says that the server is not to be verified, as libnbd 1.14 does not
    know that part of a URI."""
    peer = peer_of_plugin("", plugin, parameters)
    if peer is not None and not peer.verified and not has(parameters, "tls-verify"):
        yield "tls-verify=false"


def _knows_tls_hostname() -> bool:
    """As the libnbd of this Python: the modules are linked with the same."""
    return hasattr(nbd.NBD, "set_tls_hostname")


def _uri(parameters: Sequence[str]) -> str | None:
    """uri=URI, or a parameter without a key."""
    uris = [p.removeprefix("uri=") for p in parameters if p.startswith("uri=") or bare(p)]
    return uris[-1] if uris else None


def _default_certificates() -> list[str]:
    if os.geteuid() == 0:
        return ["/etc/pki/libnbd"]
    home = os.environ.get("HOME")
    return [os.path.join(home, ".pki/libnbd"), os.path.join(home, ".config/pki/libnbd")] if home else []
