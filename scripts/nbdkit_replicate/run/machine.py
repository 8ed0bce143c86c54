# SPDX-License-Identifier: BSD-3-Clause
"""The run of all disks of a source. One source server serves them all, so they are of one instant."""
import asyncio
import contextlib

from ..files import make_directory
from ..messages import RUN_AGAIN, Failure, Level, say
from ..parameters import has
from ..composition.commands import source_command, source_statistics
from ..composition.replication import Replication
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import list_disks, start_source
from ..report.events import Stage
from ..report.run import RunReport
from ..statistics import coalesce_read
from .context import RunContext
from .disk import DiskRun
from .interruption import Interruption
from .result import Result
from .slots import DiskSlots, OwnSlots
from .written_file import distrust_wrong_image


class MachineRun:
    def __init__(self, replication: Replication, source_password: str | None, target_password: str | None,
                 report: RunReport | None = None, interruption: Interruption | None = None,
                 slots: DiskSlots | None = None) -> None:
        """interruption: one that several runs have in common; its owner handles the signals. slots: those of a run that is
        one of several; otherwise the replication says how many disks are copied at the same time."""
        self._replication = replication
        self._source_password = source_password
        self._target_password = target_password
        self._interruption = interruption or Interruption()
        self._signals = contextlib.nullcontext if interruption else self._interruption.handle_signals
        self._slots = slots or OwnSlots(replication.at_once)
        self._report = report or RunReport()

    async def run(self) -> Result:
        """The order of the end: nbdcopy, targets, source, directory."""
        if self._replication.several:
            make_directory(self._replication.state)
        with self._report.running():
            return await self._run()

    async def _run(self) -> Result:
        with self._signals(), RunDirectory() as directory:
            if self._replication.targets is not None:
                self._replication.targets.prepare()
            for name in self._replication.known_disks():
                distrust_wrong_image(self._replication.disk(name))
            return await self._with_source(directory)

    async def _with_source(self, directory: RunDirectory) -> Result:
        stats = source_statistics(self._replication, directory.file("source.stats"))
        command = source_command(self._replication, stats)
        source = await start_source(self._replication, command, directory, self._source_password)
        context = RunContext(source, directory, self._interruption, self._report, self._target_password)
        with self._interruption.expendable_source(source):
            try:
                with self._interruption.scope():
                    await source.wait_ready()
                    disks = await self._disks(source)
                results = await self._copy_disks(disks, context)
            finally:
                try:
                    self._report.stage(Stage.REMOVING)
                finally:
                    ended_well = await source.stop()
                    await context.drained()
        missing = self._missing(disks)
        result = Result.of_all([*results, *([Result.INCOMPLETE] if missing else [])])
        # One without deadlines that had to be killed has nothing to do at its end that a copy depends on.
        if result in (Result.DONE, Result.BEHIND) and not ended_well and not source.killed:
            raise Failure(f"the copy is not complete: {source.cause() or 'see above'}; {RUN_AGAIN}")
        self._report.ended(result.recorded, "; ".join(missing), read=coalesce_read(stats))
        self._say_what_is_missing(missing, results)
        return result

    async def _copy_disks(self, disks: list[str | None], context: RunContext) -> list[Result]:
        runs = [DiskRun(self._replication.disk(name), number, context) for number, name in enumerate(disks)]
        self._report.found(disks)
        return await self._run_all(runs)

    async def _disks(self, source: Server) -> list[str | None]:
        if not self._replication.several:
            return [None]
        disks, only = await list_disks(source), self._replication.only
        for name in only:
            if name not in disks:
                raise Failure(f"the source has no disk {name}; it has {', '.join(disks)}")
        return [name for name in disks if not only or name in only]

    async def _run_all(self, runs: list[DiskRun]) -> list[Result]:
        """In their order, as many at the same time as there are slots. A bug in one does not keep the others from ending in
        order."""
        async def run(disk: DiskRun) -> Result:
            try:
                with self._interruption.scope():
                    await self._slots.acquire()
            except Failure as e:
                return disk.leave(e)
            try:
                return await disk.run()
            finally:
                self._slots.release()

        results = await asyncio.gather(*map(run, runs), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Result)]

    def _missing(self, disks: list[str | None]) -> list[str]:
        """What the source no longer has."""
        if self._replication.only or has(self._replication.source.parameters, "disk"):  # which leaves the others out
            return []
        return [f"disk {name}: the source no longer has this disk; if that is intended, remove "
                f"{self._replication.disk(name).state}" for name in self._replication.known_disks() if name not in disks]

    def _say_what_is_missing(self, missing: list[str], results: list[Result]) -> None:
        for text in missing:
            say(text, Level.ERROR)
        if self._replication.several:
            _say_count(results.count(Result.BEHIND), len(results), "have a destination that is behind")
            incomplete = [result for result in results if result not in (Result.DONE, Result.BEHIND)]
            _say_count(len(incomplete), len(results), "are not complete")


def _say_count(count: int, total: int, what: str) -> None:
    if count:
        say(f"{count} of {total} disks {what}, see above", Level.ERROR)
