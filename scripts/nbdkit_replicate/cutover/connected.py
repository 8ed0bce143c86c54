# SPDX-License-Identifier: BSD-3-Clause
"""Who is connected to a server on a Unix domain socket."""
import socket

from ..programs.server import Server
from ..programs.sockets import sockets_of

_CONNECTED = "03"


def clients_of(server: Server) -> int:
    """Its own ends of the connections: each has the path of the socket that it listens on."""
    try:
        return sum(_is_connection(one, server.socket) for one in sockets_of(server.id))
    except OSError:  # it has ended, or the system does not allow to look
        return _listed(server.socket)


def _is_connection(one: socket.socket, path: str) -> bool:
    return (one.family == socket.AF_UNIX and one.getsockname() == path
            and not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _listed(path: str) -> int:
    """proc(5), /proc/net/unix: without clients in another network namespace, such as those in a container."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.rstrip("\n").split(maxsplit=7) for line in file]
    return sum(len(one) == 8 and one[5] == _CONNECTED and one[7] == path for one in fields)
