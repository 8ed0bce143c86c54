# SPDX-License-Identifier: BSD-3-Clause
"""What a run would copy: each machine's source is started and asked, and nothing is written.

The limits of the plan hold. No state is changed, so what a run finds out of the images on its way (that one is missing, or a
chain too long) is not in it.
"""
import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ..composition.commands import source_command
from ..composition.replication import Replication
from ..messages import Failure, Level, about, say
from ..plan.plan import Folder, Machine, Plan
from ..programs.directory import RunDirectory
from ..programs.server import Server
from ..programs.source import ask_disk, list_disks, start_source
from ..run.disk import EXPECTED
from ..run.interruption import Interruption
from ..run.result import Result
from .expectations import DiskHistory, history
from .locks import machine_held
from .replications import replication_of
from .scheduler import Scheduler
from .selection import Choice, Selection


@dataclass(frozen=True)
class DiskEstimate:
    disk: str
    size: int  # bytes
    changed: int  # bytes
    areas: int
    full: bool
    seconds: float | None  # None: no earlier run tells


@dataclass(frozen=True)
class Estimate:
    vm: str
    disks: tuple[DiskEstimate, ...]
    result: Result = Result.DONE
    cause: str = ""


class Estimation:
    def __init__(self, plan: Plan, choice: Choice) -> None:
        self._plan = plan
        self._choice = choice
        self._selection = Selection(plan, choice)
        self._interruption = Interruption()
        self._vcenters = self._selection.vcenters
        self._scheduler = Scheduler(self._selection.limits)

    async def run(self) -> list[Estimate]:
        """Of each machine, in the order of the plan."""
        with self._interruption.handle_signals():
            with self._interruption.scope():
                machines = await self._selection.machines()
            left = [self._left(folder) for folder in self._selection.left]
            return [*await asyncio.gather(*map(self._estimate, machines)), *left]

    def _left(self, folder: Folder) -> Estimate:
        """One that could not be looked into."""
        failure = self._selection.why(folder)
        say(str(failure), Level.ERROR)
        return Estimate(f"folder {folder.path}", (), Result.of_failure(failure), str(failure))

    async def _estimate(self, machine: Machine) -> Estimate:
        with about(vm=machine.name, vm_shown=True):
            try:
                async with contextlib.AsyncExitStack() as held:
                    with self._interruption.scope():
                        await held.enter_async_context(self._scheduler.machine(machine, self._vcenters.host(machine)))
                        await held.enter_async_context(self._login(machine))
                    held.enter_context(machine_held(machine))
                    return Estimate(machine.name, tuple(await self._ask(machine)))
            except EXPECTED as e:
                say(str(e), Level.ERROR)
                return Estimate(machine.name, (), Result.of_failure(e), str(e))

    @contextlib.asynccontextmanager
    async def _login(self, machine: Machine) -> AsyncIterator[None]:
        if failure := self._vcenters.failure(machine.vcenter):
            raise failure
        login = self._vcenters.login(machine)
        async with login.attempt():
            try:
                yield
            except Failure as e:
                if Result.of_failure(e) == Result.REFUSED:
                    login.refused(e)
                raise

    async def _ask(self, machine: Machine) -> list[DiskEstimate]:
        replication = dataclasses.replace(replication_of(self._plan, machine, "", self._choice.verbose), targets=None)
        known = history(machine)
        with RunDirectory() as directory:
            source = await start_source(replication, source_command(replication), directory)
            with self._interruption.expendable_source(source):
                try:
                    with self._interruption.scope():
                        await source.wait_ready()
                        self._vcenters.login(machine).accepted()
                        return [await self._ask_disk(source, disk, disk or machine.single_disk, known)
                                for disk in await _disks(source, replication)]
                finally:
                    await source.stop()

    async def _ask_disk(self, source: Server, disk: str, name: str, known: dict[str, DiskHistory]) -> DiskEstimate:
        """disk: the export."""
        facts = await ask_disk(source, disk)
        return DiskEstimate(name, facts.size, facts.delta, facts.areas, facts.full, _seconds(facts.delta, known.get(name)))


async def _disks(source: Server, replication: Replication) -> list[str]:
    """Names of exports."""
    if not replication.several:
        return [""]
    return [name for name in await list_disks(source) if not replication.only or name in replication.only]


def _seconds(changed: int, known: DiskHistory | None) -> float | None:
    rate = known.rate() if known else None
    return max(changed / rate, known.overhead() if known else 0.0) if rate else None
