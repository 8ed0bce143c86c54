# SPDX-License-Identifier: BSD-3-Clause
"""The run of a plan: its machines, each by a MachineRun, and what is done before and after each."""
import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..files import make_directory
from ..messages import Failure, Level, about, say
from ..plan.plan import Folder, Machine, Plan
from ..report.events import DisksFound, Event, Listener
from ..report.records import INCOMPLETE, RunRecord, time_of
from ..report.run import RunReport
from ..run.disk import EXPECTED
from ..run.interruption import Interruption
from ..run.machine import MachineRun
from ..run.result import Result
from .checks import check_machine
from .hooks import run_hook
from .locks import machine_held
from .replications import replication_of
from .scheduler import MachineSlots, Scheduler
from .selection import Choice, Selection
from .window import Beginning


@dataclass(frozen=True)
class Outcome:
    result: Result
    record: RunRecord


class PlanRun:
    def __init__(self, plan: Plan, choice: Choice, listeners: Callable[[Machine], Sequence[Listener]]) -> None:
        """listeners: for the events of each machine's run."""
        self._selection = Selection(plan, choice)
        self._plan = plan
        self._choice = choice
        self._listeners = listeners
        self._single = False  # there is only one machine
        self._interruption = Interruption()
        self._vcenters = self._selection.vcenters
        self._beginning = Beginning(None if choice.any_time else plan.window)
        self._scheduler = Scheduler(self._selection.limits, self._beginning.check)

    async def run(self) -> list[Outcome]:
        """One for each machine, those in folders included, in the order of the plan; and one for each folder that could not be
        looked into."""
        with self._interruption.handle_signals():
            with self._interruption.scope():
                self._beginning.check()
                machines = await self._selection.machines()
            left = [self._left(folder) for folder in self._selection.left]
            self._single = len(machines) + len(left) == 1
            if self._single and left:
                say(left[0].record.cause, Level.ERROR)
            return [*await asyncio.gather(*map(self._run, machines)), *left]

    def _left(self, folder: Folder) -> Outcome:
        failure = self._selection.why(folder)
        record = RunRecord(f"folder {folder.path}", "", time.time(), result=INCOMPLETE, cause=str(failure))
        return Outcome(Result.of_failure(failure), record)

    async def _run(self, machine: Machine) -> Outcome:
        with about(vm=machine.name, vm_shown=True):
            report = RunReport(machine.name, [*self._listeners(machine), self._accepted(machine)])
            try:
                result = await self._begin(machine, report)
            except EXPECTED as e:
                # What keeps all machines of a vCenter from being begun is said once, with their names, at the end.
                if self._single or e is not self._vcenters.failure(machine.vcenter):
                    say(str(e), Level.ERROR)
                record = dataclasses.replace(report.record, result=INCOMPLETE, cause=str(e))
                return Outcome(Result.of_failure(e), record)
            return Outcome(result, report.record)

    async def _begin(self, machine: Machine, report: RunReport) -> Result:
        async with contextlib.AsyncExitStack() as held:
            with self._interruption.scope():
                slots = await held.enter_async_context(self._scheduler.machine(machine, self._vcenters.host(machine)))
            held.enter_context(machine_held(machine))
            # The time in the names of the images is that of the beginning, not of the waiting before it.
            now = time.time()
            report.record = dataclasses.replace(report.record, started=now, time=time_of(now))
            try:
                return await self._replicate(machine, report, slots)
            finally:
                await self._run_hook_at_end(report)

    async def _replicate(self, machine: Machine, report: RunReport, slots: MachineSlots) -> Result:
        try:
            if failure := self._vcenters.failure(machine.vcenter):
                raise failure
            async with self._vcenters.login(machine).attempt():
                with self._interruption.scope():
                    await check_machine(machine, self._vcenters.inventories.get(machine.vcenter))
                    await self._run_hook("before", report)
                replication = replication_of(self._plan, machine, report.record.time, self._choice.verbose)
                run = MachineRun(replication, None, None, report, self._interruption, slots)
                return await run.run()
        except EXPECTED as e:
            if Result.of_failure(e) == Result.REFUSED:
                self._vcenters.login(machine).refused(Failure(str(e)))
            _record_failure(machine, report, e)
            raise

    def _accepted(self, machine: Machine) -> Listener:
        """Its disks are known, so the vCenter has let it in."""
        def listener(event: Event) -> None:
            if isinstance(event, DisksFound):
                self._vcenters.login(machine).accepted()

        return listener

    async def _run_hook_at_end(self, report: RunReport) -> None:
        await self._run_hook("after" if report.record.result == Result.DONE.recorded else "failure", report)

    async def _run_hook(self, name: str, report: RunReport) -> None:
        hooks = self._plan.hooks
        facts = {"hook": name, "plan": self._plan.path, **dataclasses.asdict(report.record)}
        await run_hook(name, getattr(hooks, name), facts, hooks.deadline)


def _record_failure(machine: Machine, report: RunReport, failure: BaseException) -> None:
    """A failure before the machine's own run has begun, which tells all others itself."""
    if report.record.ended is None:
        make_directory(machine.states)
        with contextlib.suppress(type(failure)), report.running():
            raise failure
