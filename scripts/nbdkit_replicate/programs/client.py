# SPDX-License-Identifier: BSD-3-Clause
"""nbdcopy, which copies from the source server to the target server."""
import asyncio
from dataclasses import dataclass

from ..composition.commands import client_command
from .connections import Connections
from .errors import Errors
from .process import Process, outcome
from .server import Server


@dataclass(frozen=True)
class Route:
    """From where to where a client copies."""

    source: Server
    export: str  # of the source
    target: Server


class Client:
    def __init__(self, process: Process, connections: Connections, errors: Errors | None) -> None:
        self._process = process
        self._errors = errors
        self._connections = connections
        self._watching = asyncio.create_task(connections.watch())

    @classmethod
    async def start(cls, route: Route, bar: bool = False, percent_to: int | None = None) -> "Client":
        """bar: shows a progress bar. percent_to: a file descriptor to which it writes its progress instead, as
        lines of N/100."""
        progress = "--progress" if bar else None
        if percent_to is not None:
            progress = f"--progress={percent_to}"
        command = client_command(route.source.uri(route.export), route.target.uri(), progress)
        inherited = [] if percent_to is None else [percent_to]
        errors = None if bar else Errors("nbdcopy", shown=False)  # the bar is on standard error
        process = await Process.start(command, inherited, errors=errors)
        return cls(process, Connections(process.id, (route.source.socket, route.target.socket)), errors)

    async def wait(self) -> int:
        """Until it ends. Returns its exit status."""
        return await self._process.wait()

    async def stop(self) -> Connections:
        """Ends it if it is running. Returns its connections; the servers may have answers to send to them."""
        self._connections.look()
        self._process.terminate()
        await self._process.wait()
        self._watching.cancel()
        if self._errors:
            self._errors.close()
        return self._connections

    async def cause(self) -> str:
        """After its end: the error that it has reported, or how it has ended."""
        error = self._errors.cause() if self._errors else ""
        return error or f"nbdcopy ended with {outcome(await self.wait())}"

    def kill(self) -> None:
        self._connections.look()
        self._process.kill()
