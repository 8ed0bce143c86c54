# SPDX-License-Identifier: BSD-3-Clause
"""Who is connected to a server on a Unix domain socket: proc(5), /proc/net/unix."""
_CONNECTED = "03"


def clients_of(path: str) -> int:
    """The server's end of each connection has the path of the socket that it listens on."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.rstrip("\n").split(maxsplit=7) for line in file]
    return sum(len(one) == 8 and one[5] == _CONNECTED and one[7] == path for one in fields)
