# SPDX-License-Identifier: BSD-3-Clause
"""nbdcopy or qemu-img, which copies from the source server to the target server."""
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
    def __init__(self, name: str, process: Process, connections: Connections, errors: Errors) -> None:
        self._name = name
        self._process = process
        self._errors = errors
        self._connections = connections
        self._watching = asyncio.create_task(connections.watch())

    @classmethod
    async def start(cls, name: str, route: Route) -> "Client":
        command = client_command(name, route.source.uri(route.export), route.target.uri())
        errors = Errors(name, shown=False)
        process = await Process.start(command, errors=errors)
        return cls(name, process, Connections(process.id, (route.source.socket, route.target.socket)), errors)

    async def wait(self) -> int:
        """Until it ends. Returns its exit status."""
        return await self._process.wait()

    async def stop(self) -> Connections:
        """Ends it if it is running. Returns its connections; the servers may have answers to send to them."""
        self._connections.look()
        self._process.terminate()
        await self._process.wait()
        self._watching.cancel()
        self._errors.close()
        return self._connections

    async def cause(self) -> str:
        """After its end: the error that it has reported, or how it has ended."""
        return self._errors.cause() or f"{self._name} ended with {outcome(await self.wait())}"

    def kill(self) -> None:
        self._connections.look()
        self._process.kill()
