# SPDX-License-Identifier: BSD-3-Clause
"""An NBD server that a disk is restored to."""
import time
import urllib.parse
from collections.abc import Callable

import nbd

from ..contract import plain_uri
from ..messages import Failure

TIMEOUT = 30  # seconds, to connect and for each answer


class Remote:
    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.name = plain_uri(uri)

    def size(self) -> int:
        """Raises Failure if it cannot be reached, or not be written to."""
        with _Connection(self) as connection:
            if connection.read_only:
                raise Failure(f"{self.name} can only be read")
            return connection.size

    def write(self, data: bytes) -> None:
        """At offset 0, durably."""
        with _Connection(self) as connection:
            connection.write(data)

    def parameters(self) -> list[str]:
        """Of nbdkit-nbd-plugin(1), which takes no names of files in a URI."""
        parts = urllib.parse.urlsplit(self.uri)
        query = urllib.parse.parse_qsl(parts.query)
        own = {"tls-certificates": "tls-certificates", "tls-psk-file": "tls-psk", "tls-verify-peer": "tls-verify"}
        rest = urllib.parse.urlencode([(key, value) for key, value in query if key not in own], safe="/")
        result = [f"uri={self.uri.partition('?')[0]}{'?' if rest else ''}{rest}"]
        result += [f"{own[key]}={value}" for key, value in query if key in own]
        if parts.scheme.lower().startswith("nbds"):
            result.append("tls=require")
        return result


class _Connection:
    """With a deadline for each wait."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._handle = nbd.NBD()

    def __enter__(self) -> "_Connection":
        try:
            self._handle.aio_connect_uri(self._remote.uri)
            self._wait(self._handle.aio_is_ready)
        except nbd.Error as e:
            raise Failure(f"{self._remote.name}: {e.string}") from e
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, nbd.Error):
            raise Failure(f"{self._remote.name}: {error.string}") from error
        if error is None:
            self._handle.aio_disconnect(0)
            self._wait(self._handle.aio_is_closed)

    @property
    def read_only(self) -> bool:
        return bool(self._handle.is_read_only())

    @property
    def size(self) -> int:
        return int(self._handle.get_size())

    def write(self, data: bytes) -> None:
        """At offset 0, durably."""
        largest = self._handle.get_block_size(nbd.SIZE_MAXIMUM) or (1 << 25)
        for at in range(0, len(data), largest):
            buffer = nbd.Buffer.from_bytearray(bytearray(data[at:at + largest]))
            self._complete(self._handle.aio_pwrite(buffer, at))
        if self._handle.can_flush():
            self._complete(self._handle.aio_flush())

    def _complete(self, cookie: int) -> None:
        self._wait(lambda: self._handle.aio_command_completed(cookie))

    def _wait(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + TIMEOUT
        while not done():
            if self._handle.aio_is_dead():
                raise Failure(f"{self._remote.name}: the connection was lost")
            left = until - time.monotonic()
            if left <= 0:
                raise Failure(f"{self._remote.name} has not answered for {TIMEOUT} seconds")
            self._handle.poll(max(1, int(left * 1000)))
