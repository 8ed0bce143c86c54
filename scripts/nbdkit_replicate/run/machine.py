# SPDX-License-Identifier: BSD-3-Clause
"""The run of all disks of a source. One source server serves them all, so they are of one instant."""
import asyncio

from ..files import make_directory
from ..messages import RUN_AGAIN, Failure, say
from ..parameters import has
from ..composition.commands import source_command
from ..composition.replication import Replication
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import list_disks
from .context import RunContext
from .disk import DiskRun
from .interruption import Interruption
from .progress import Progress
from .result import Result
from .written_file import distrust_wrong_image


class MachineRun:
    def __init__(self, replication: Replication, source_password: str | None, target_password: str | None) -> None:
        self._replication = replication
        self._source_password = source_password
        self._target_password = target_password
        self._interruption = Interruption()

    async def run(self) -> Result:
        """The order of the end: nbdcopy, targets, source, directory."""
        with self._interruption.handle_signals(), RunDirectory() as directory:
            if self._replication.several:
                make_directory(self._replication.state)
            if self._replication.targets is not None:
                self._replication.targets.prepare()
            for name in self._replication.known_disks():
                distrust_wrong_image(self._replication.disk(name))
            return await self._with_source(directory)

    async def _with_source(self, directory: RunDirectory) -> Result:
        command = source_command(self._replication)
        source = await Server.start("source", command, directory, "source.sock", self._source_password)
        progress = Progress() if self._replication.progress and self._replication.several else None
        context = RunContext(source, directory, self._interruption, progress, self._target_password)
        try:
            with self._interruption.scope():
                await source.wait_ready()
            result = await self._copy_disks(context)
        finally:
            ended_well = await source.stop()
            await context.drained()
        if result != Result.INCOMPLETE and not ended_well:
            raise Failure(f"the copy is not complete: {source.cause() or 'see above'}; {RUN_AGAIN}")
        return result

    async def _copy_disks(self, context: RunContext) -> Result:
        with self._interruption.scope():
            disks = await self._disks(context.source)
        runs = [DiskRun(self._replication.disk(name), number, context) for number, name in enumerate(disks)]
        try:
            results = await self._run_all(runs)
        finally:
            if context.progress:
                context.progress.end()
        return self._report(disks, results)

    async def _disks(self, source: Server) -> list[str | None]:
        return [*await list_disks(source)] if self._replication.several else [None]

    async def _run_all(self, runs: list[DiskRun]) -> list[Result]:
        """In their order, at_once at the same time. A bug in one does not keep the others from ending in order."""
        slots = asyncio.Semaphore(self._replication.at_once)

        async def run(disk: DiskRun) -> Result:
            async with slots:
                return await disk.run()

        results = await asyncio.gather(*map(run, runs), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Result)]

    def _report(self, disks: list[str | None], results: list[Result]) -> Result:
        """Says what is missing of the whole."""
        missing = [name for name in self._replication.known_disks() if name not in disks]
        if has(self._replication.source.parameters, "disk"):  # which leaves the others out
            missing = []
        for name in missing:
            say(f"disk {name}: the source no longer has this disk; if that is intended, remove "
                f"{self._replication.disk(name).state}")
        if self._replication.several:
            _say_count(results.count(Result.BEHIND), len(disks), "have a destination that is behind")
            _say_count(results.count(Result.INCOMPLETE), len(disks), "are not complete")
        return Result.INCOMPLETE if missing else Result.of_all(results)


def _say_count(count: int, total: int, what: str) -> None:
    if count:
        say(f"{count} of {total} disks {what}, see above")
