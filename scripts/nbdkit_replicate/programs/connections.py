# SPDX-License-Identifier: BSD-3-Clause
"""The connections of an NBD client, or of a target that reads the source itself, kept open beyond its end.

nbdkit 1.32 aborts (raw_send_socket: Assertion `sock >= 0') if a client is gone while several threads answer it. So
nbdkit-replicate has a descriptor of its own for each connection of the client. Whatever ends the client, or one of its
connections, it receives what is still on its way, and then closes the connection in order.
"""
import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Collection

from .sockets import duplicate

# Seconds between two looks for new connections: a share of the time since the last one was seen, as the client makes
# all of them at its beginning.
_SHARE, _SHORTEST, _LONGEST = 0.25, 0.001, 0.05

# Seconds without anything from a server, after which all requests that it has received are taken to be answered. Then
# the connection is closed for writing. A server that has received whole requests answers those in any case.
IDLE = 1.0


class Connections:
    def __init__(self, client: int, servers: Collection[str]) -> None:
        """client: the process. servers: their sockets. Does nothing where the system does not allow it."""
        self._client = client
        self._servers = servers
        self._kept: dict[str, socket.socket] = {}  # by "socket:[INODE]"
        self._draining: set[asyncio.Task[None]] = set()  # of those that the client has closed
        self._process: int | None = None  # a descriptor of the client
        with contextlib.suppress(OSError):
            self._process = os.pidfd_open(client)

    async def watch(self) -> None:
        """Keeps each connection that the client makes, until this is cancelled."""
        latest = time.monotonic()
        while self._process is not None:
            count = len(self._kept)
            self.look()
            now = time.monotonic()
            if len(self._kept) > count:
                latest = now
            await asyncio.sleep(min(max((now - latest) * _SHARE, _SHORTEST), _LONGEST))

    def look(self) -> None:
        """Keeps the connections that the client has now."""
        folder = f"/proc/{self._client}/fd"
        present = set()
        with contextlib.suppress(OSError):  # the client has ended
            for number in os.listdir(folder):
                with contextlib.suppress(OSError):  # it has closed this one
                    link = os.readlink(f"{folder}/{number}")
                    present.add(link)
                    if link.startswith("socket:") and link not in self._kept:
                        self._keep(int(number), link)
            for link in self._kept.keys() - present:
                self._draining.add(task := asyncio.create_task(_drain(self._kept.pop(link))))
                task.add_done_callback(self._draining.discard)

    def close(self) -> None:
        """After the end of a client that has closed its connections in order."""
        self._close_process()
        for task in self._draining:
            task.cancel()
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()

    async def drain(self) -> None:
        """After the end of the client: returns when the servers have closed all connections."""
        self._close_process()
        await asyncio.gather(*map(_drain, self._kept.values()), *self._draining)
        self._kept.clear()

    def _keep(self, number: int, link: str) -> None:
        if self._process is None:
            return
        try:
            connection = duplicate(self._process, number)
        except OSError as e:
            if e.errno in (errno.EPERM, errno.ENOSYS):
                self._close_process()
            return
        try:
            # A socket can be another's, such as the journal's as standard error.
            if connection.family == socket.AF_UNIX and connection.getpeername() in self._servers:
                self._kept[link] = connection
                return
        except OSError:  # not connected yet
            pass
        connection.close()

    def _close_process(self) -> None:
        if self._process is not None:
            os.close(self._process)
            self._process = None


async def _drain(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    idle: float | None = IDLE
    with connection, contextlib.suppress(OSError):
        while True:
            try:
                async with asyncio.timeout(idle):
                    if not await loop.sock_recv(connection, 1 << 18):
                        return
            except TimeoutError:
                idle = None
                connection.shutdown(socket.SHUT_WR)
