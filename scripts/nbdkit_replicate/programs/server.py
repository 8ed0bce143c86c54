# SPDX-License-Identifier: BSD-3-Clause
"""An nbdkit server on a Unix socket."""
import asyncio
import os
import time
from collections.abc import Sequence

from ..contract import inherited_descriptors
from ..messages import Failure, Level, say
from ..composition.commands import uri_of
from .directory import RunDirectory
from .errors import Errors
from .password import passed_by_descriptor
from .process import Process, outcome

# Seconds between two looks for the file that says that the server is ready: a share of the time since it was started.
_SHARE, _SHORTEST, _LONGEST = 0.1, 0.002, 0.05


class Server:
    """It ends when nbdkit-replicate ends, also if that is killed."""

    def __init__(self, name: str, socket: str, process: Process, errors: Errors) -> None:
        self.socket = socket
        self.patience = 0.0  # seconds for which it may try what it is asked again, on top of what it takes otherwise
        self._name = name
        self._process = process
        self._errors = errors
        self._started = False  # it accepts connections, or has done so

    @classmethod
    async def start(cls, name: str, command: Sequence[str], directory: RunDirectory, socket: str,
                    password: str | None = None) -> "Server":
        """name: for messages. socket: its name in the directory. password: for a parameter that asks for one.

        Must not be cancelled, which would kill the server (Process.start): a source that is killed leaves its
        snapshot behind.
        """
        program, *arguments = command
        path = directory.file(socket)
        errors = Errors(name)
        words = [program, "-f", "-U", path, "-P", _ready_file(path), *arguments]
        with passed_by_descriptor(words, password) as words:
            inherited = [*inherited_descriptors(words), directory.lock]
            process = await Process.start(words, inherited, errors=errors)
        return cls(name, path, process, errors)

    def uri(self, export: str = "") -> str:
        return uri_of(self.socket, export)

    async def wait_ready(self) -> None:
        """Until it accepts connections. There is no limit: a source may have to wait for its snapshot."""
        ready, began = _ready_file(self.socket), time.monotonic()
        while not (os.path.exists(ready) and os.path.getsize(ready) > 0):
            if not self._process.running:
                raise Failure(f"the {self._name} server did not start: {self._errors.cause() or 'it gave no reason'}")
            await asyncio.sleep(min(max((time.monotonic() - began) * _SHARE, _SHORTEST), _LONGEST))
        self._started = True

    def cause(self) -> str:
        """The error that it has reported of late; "" if none."""
        error = self._errors.cause()
        return error and f"{self._name}: {error}"

    def reason_for_owing(self, destination: str) -> str:
        """After its end: why that destination has not got everything; "" if it has not said so."""
        prefix = destination + ": "
        return next((r.removeprefix(prefix) for r in reversed(self._errors.reasons) if r.startswith(prefix)), "")

    def kill(self) -> None:
        self._process.kill()

    async def stop(self) -> bool:
        """Ends it, and waits until it has: a target completes what is missing, a source removes its snapshot.

        Returns whether it succeeded in that.
        """
        self._process.terminate()
        status = await self._process.wait()
        self._errors.close()
        if status != 0 and self._started:
            say(f"the {self._name} server ended with {outcome(status)}", Level.ERROR)
        return status == 0


def _ready_file(socket: str) -> str:
    """nbdkit's PID file, which it writes when it accepts connections."""
    return socket + ".pid"
