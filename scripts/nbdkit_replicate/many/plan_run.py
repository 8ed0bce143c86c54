# SPDX-License-Identifier: BSD-3-Clause
"""The run of a plan: its machines, as many at the same time as its limits allow."""
import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..cutover.journal import check_no_cutover
from ..messages import Level, about, say
from ..plan.plan import Folder, Machine, Plan
from ..report.events import Listener
from ..report.records import INCOMPLETE, RunRecord
from ..report.run import RunReport
from ..run.disk import EXPECTED
from ..run.interruption import Interruption
from ..run.result import Result
from .locks import machine_held
from .planned_run import PlannedRun
from .scheduler import Scheduler
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
            run = PlannedRun(self._plan, machine, self._vcenters, self._interruption, self._choice.verbose)
            report = RunReport(machine.name, [*self._listeners(machine), run.heed])
            try:
                result = await self._begin(run, report)
            except EXPECTED as e:
                # What keeps all machines of a vCenter from being begun is said once, with their names, at the end.
                if self._single or e is not self._vcenters.failure(machine.vcenter):
                    say(str(e), Level.ERROR)
                record = dataclasses.replace(report.record, result=INCOMPLETE, cause=str(e))
                return Outcome(Result.of_failure(e), record)
            return Outcome(result, report.record)

    async def _begin(self, run: PlannedRun, report: RunReport) -> Result:
        async with contextlib.AsyncExitStack() as held:
            with self._interruption.scope():
                slots = await held.enter_async_context(
                    self._scheduler.machine(run.machine, self._vcenters.host(run.machine)))
            held.enter_context(machine_held(run.machine))
            check_no_cutover(run.machine.states)
            return await run.run(report, slots)
