# SPDX-License-Identifier: BSD-3-Clause
"""What the copies of all disks have in common during a run."""
import asyncio
from dataclasses import dataclass, field

from ..programs.connections import Connections
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..report.run import RunReport
from .interruption import Interruption


@dataclass(frozen=True)
class RunContext:
    source: Server
    directory: RunDirectory
    interruption: Interruption
    report: RunReport
    target_password: str | None
    _draining: set[asyncio.Task[None]] = field(default_factory=set)

    def drain(self, connections: Connections) -> None:
        """In the background, as a source may take long to answer. The servers need not be waited for otherwise."""
        self._draining.add(task := asyncio.create_task(connections.drain()))
        task.add_done_callback(self._draining.discard)

    async def drained(self) -> None:
        """Returns soon, as all servers have ended."""
        await asyncio.gather(*self._draining)
