# SPDX-License-Identifier: BSD-3-Clause
"""The run of all disks of a source. One source server serves them all, so they are of one instant."""
import asyncio
import os
import tempfile

from .. import PROGRAM
from ..messages import RUN_AGAIN, Failure, say
from ..parameters import has
from ..plan.commands import source_command
from ..plan.replication import Replication
from ..programs.server import Server
from ..programs.source import list_disks
from .context import RunContext
from .disk import DiskRun
from .interruption import Interruption
from .progress import Progress


class MachineRun:
    def __init__(self, replication: Replication, source_password: str | None, target_password: str | None) -> None:
        self._replication = replication
        self._source_password = source_password
        self._target_password = target_password
        self._interruption = Interruption()

    async def run(self) -> bool:
        """Returns whether everything has been copied. The order of the end: nbdcopy, targets, source, directory."""
        with self._interruption.handle_signals(), tempfile.TemporaryDirectory(prefix=PROGRAM + ".") as directory:
            if self._replication.several:
                os.makedirs(self._replication.state, exist_ok=True)
            return await self._with_source(directory)

    async def _with_source(self, directory: str) -> bool:
        command = source_command(self._replication)
        source = await Server.start("source", command, os.path.join(directory, "source.sock"), self._source_password)
        try:
            with self._interruption.scope():
                await source.wait_ready()
            complete = await self._copy_disks(source, directory)
        finally:
            ended_well = await source.stop()
        if complete and not ended_well:
            raise Failure(f"the copy is not complete; {RUN_AGAIN}")
        return complete

    async def _copy_disks(self, source: Server, directory: str) -> bool:
        with self._interruption.scope():
            disks = await self._disks(source)
        progress = Progress() if self._replication.progress and self._replication.several else None
        context = RunContext(source, directory, self._interruption, progress, self._target_password)
        runs = [DiskRun(self._replication.disk(name), number, context) for number, name in enumerate(disks)]
        try:
            complete = await self._run_all(runs)
        finally:
            if progress:
                progress.end()
        return self._report(disks, complete)

    async def _disks(self, source: Server) -> list[str | None]:
        return [*await list_disks(source.uri())] if self._replication.several else [None]

    async def _run_all(self, runs: list[DiskRun]) -> list[bool]:
        """In their order, at_once at the same time. A bug in one does not keep the others from ending in order."""
        slots = asyncio.Semaphore(self._replication.at_once)

        async def run(disk: DiskRun) -> bool:
            async with slots:
                return await disk.run()

        results = await asyncio.gather(*map(run, runs), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result is True for result in results]

    def _report(self, disks: list[str | None], complete: list[bool]) -> bool:
        """Says what is missing of the whole. Returns whether nothing is."""
        missing = [name for name in self._replication.known_disks() if name not in disks]
        if has(self._replication.source.parameters, "disk"):  # which leaves the others out
            missing = []
        for name in missing:
            say(f"disk {name}: the source no longer has this disk; if that is intended, remove "
                f"{self._replication.disk(name).state}")
        late = complete.count(False)
        if late and self._replication.several:
            say(f"{late} of {len(disks)} disks are not complete, see above")
        return not late and not missing
