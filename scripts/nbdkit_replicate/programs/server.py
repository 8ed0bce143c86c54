# SPDX-License-Identifier: BSD-3-Clause
"""An nbdkit server on a Unix socket."""
import asyncio
import contextlib
import os
import time
from collections.abc import Collection, Sequence

from ..contract import has_deadlines, inherited_descriptors
from ..messages import Failure, Level, say
from ..composition.commands import uri_of
from .connections import Connections
from .directory import RunDirectory
from .errors import Errors
from .password import passed_by_descriptor
from .process import Process, outcome

START = 600.0  # seconds in which a server starts whose plugin has no deadlines; it may have to log in, and to try again
END = 300.0  # and in which it ends

# Seconds between two looks for the file that says that the server is ready: a share of the time since it was started.
_SHARE, _SHORTEST, _LONGEST = 0.1, 0.002, 0.05


class Server:
    """It ends when nbdkit-replicate ends, also if that is killed."""

    def __init__(self, name: str, socket: str, ready: str, process: Process, errors: Errors) -> None:
        """ready: nbdkit's PID file, which it writes when it accepts connections."""
        self.socket = socket
        self._ready = ready
        self.patience = 0.0  # seconds for which it may try what it is asked again, on top of what it takes otherwise
        self.start_limit: float | None = None  # seconds; None: it has deadlines of its own
        self.end_limit: float | None = None  # the same; then it is killed
        self._name = name
        self._process = process
        self._errors = errors
        self._started = False  # it accepts connections, or has done so
        self._killed = False  # by kill()
        self._given_up = ""  # why
        self._connections: Connections | None = None  # see keep_connections()
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, name: str, command: Sequence[str], directory: RunDirectory, socket: str,
                    password: str | None = None) -> "Server":
        """name: for messages. socket: its name in the directory, or the path of one elsewhere. password: for a parameter that
        asks for one.

        Must not be cancelled, which would kill the server (Process.start): a source that is killed leaves its
        snapshot behind.
        """
        program, *arguments = command
        path = directory.file(socket)
        errors = Errors(name)
        ready = directory.file(socket.replace("/", "%") + ".pid")
        words = [program, "-f", "-U", path, "-P", ready, *arguments]
        with passed_by_descriptor(words, password) as words:
            inherited = [*inherited_descriptors(words), directory.lock]
            process = await Process.start(words, inherited, errors=errors)
        return cls(name, path, ready, process, errors)

    def limit(self, plugin: str, ends_soon: bool = True) -> None:
        """Where the plugin has no deadlines. ends_soon: it has nothing to complete at its end."""
        if not has_deadlines(plugin):
            self.start_limit = START + self.patience
            self.end_limit = END if ends_soon else None

    @property
    def id(self) -> int:
        """Of its process."""
        return self._process.id

    @staticmethod
    def uri_in(directory: RunDirectory, socket: str) -> str:
        """Of a server with a socket of that name in the directory, which need not exist."""
        return uri_of(directory.file(socket))

    def uri(self, export: str = "") -> str:
        return uri_of(self.socket, export)

    async def wait_ready(self) -> None:
        """Until it accepts connections. vsphere has no limit here: it may have to wait for its snapshot."""
        began = time.monotonic()
        while not (os.path.exists(self._ready) and os.path.getsize(self._ready) > 0):
            if not self._process.running:
                raise Failure(f"the {self._name} server did not start: {self._errors.cause() or 'it gave no reason'}")
            waited = time.monotonic() - began
            if self.start_limit is not None and waited >= self.start_limit:
                raise Failure(self.cause() or f"the {self._name} server has not started for {waited:.0f} seconds: what it connects "
                              "to does not answer")
            await asyncio.sleep(min(max(waited * _SHARE, _SHORTEST), _LONGEST))
        self._started = True

    def keep_connections(self, servers: Collection[str]) -> Connections:
        """Those that it has to these sockets, until its end. Then they are to be drained."""
        self._connections = Connections(self._process.id, servers)
        self._watching = asyncio.create_task(self._connections.watch())
        return self._connections

    async def ended(self, deadline: float) -> int | None:
        """Waits for so many seconds until it ends by itself. Returns its exit status; None if it has not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                return await self._process.wait()
        return None

    def check_running(self) -> None:
        """Raises Failure if it has ended."""
        if not self._process.running:
            raise Failure(self.cause() or f"the {self._name} server has ended")

    def cause(self) -> str:
        """Why it was given up, or the error that it has reported of late; "" if none."""
        error = self._given_up or self._errors.cause()
        return error and f"{self._name}: {error}"

    def reason_for_owing(self, destination: str) -> str:
        """After its end: why that destination has not got everything; "" if it has not said so."""
        prefix = destination + ": "
        return next((r.removeprefix(prefix) for r in reversed(self._errors.reasons) if r.startswith(prefix)), "")

    def give_up(self, why: str) -> None:
        """Kills it. Those that wait for it get errors."""
        self._given_up = self._given_up or why
        self.kill()

    @property
    def given_up(self) -> bool:
        return bool(self._given_up)

    @property
    def killed(self) -> bool:
        """By this program, which has said why."""
        return self._killed

    def kill(self) -> None:
        self._look()
        self._killed = True
        self._process.kill()

    def _look(self) -> None:
        if self._connections:
            self._connections.look()

    async def stop(self) -> bool:
        """Ends it, and waits until it has: a target completes what is missing, a source removes its snapshot.

        Returns whether it succeeded in that.
        """
        self._look()
        self._process.terminate()
        status = await (self._process.wait() if self.end_limit is None else self.ended(self.end_limit))
        if status is None:
            say(f"the {self._name} server does not end, as what it is connected to does not answer: it is killed", Level.WARNING)
            self.kill()
            status = await self._process.wait()
        if self._watching:
            self._watching.cancel()
        self._errors.close()
        if status != 0 and self._started and not self._killed:
            say(f"the {self._name} server ended with {outcome(status)}", Level.ERROR)
        return status == 0
