# SPDX-License-Identifier: BSD-3-Clause
"""One run of a machine of a plan: what is checked before it, its hooks, its record."""
import contextlib
import dataclasses
import time

from ..contract import is_refused_login
from ..files import make_directory
from ..messages import Failure
from ..plan.plan import Machine, Plan
from ..points.naming import Naming, free_time
from ..report.events import DisksFound, Event
from ..report.records import RunRecord
from ..report.run import RunReport
from ..run.disk import EXPECTED
from ..run.interruption import Interruption
from ..run.machine import MachineRun
from ..run.result import Result
from ..run.slots import DiskSlots
from .checks import check_machine
from .hooks import run_hook
from .replications import replication_of
from .vcenters import VCenters


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    plan: Plan
    machine: Machine
    vcenters: VCenters
    interruption: Interruption
    verbose: bool = False
    hooks: bool = True

    async def run(self, report: RunReport, slots: DiskSlots | None = None) -> Result:
        """The machine is held. Raises Failure or OSError; report.record says then why it has failed."""
        # The time in the names of the images is that of the beginning, not of the waiting before it.
        now = time.time()
        moment = free_time(now, Naming(self.machine.images).times())
        report.record = dataclasses.replace(report.record, started=now, time=moment)
        try:
            return await self._replicate(report, slots)
        finally:
            await self._run_hook("after" if report.record.result == Result.DONE.recorded else "failure", report)

    def heed(self, event: Event) -> None:
        """A listener for the events of the run: its disks are known, so the vCenter has let it in."""
        if isinstance(event, DisksFound):
            self.vcenters.login(self.machine).accepted()

    async def _replicate(self, report: RunReport, slots: DiskSlots | None) -> Result:
        machine, vcenters = self.machine, self.vcenters
        try:
            if failure := vcenters.failure(machine.vcenter):
                raise failure
            async with vcenters.login(machine).attempt():
                with self.interruption.scope():
                    await check_machine(machine, vcenters.inventories.get(machine.vcenter))
                    await self._run_hook("before", report)
                replication = replication_of(self.plan, machine, report.record.time, self.verbose)
                result = await MachineRun(replication, None, None, report, self.interruption, slots).run()
            if result == Result.REFUSED:
                vcenters.login(machine).refused(_refusal(report.record))
            return result
        except EXPECTED as e:
            if Result.of_failure(e) == Result.REFUSED:
                vcenters.login(machine).refused(Failure(str(e)))
            _record_failure(machine, report, e)
            raise

    async def _run_hook(self, name: str, report: RunReport) -> None:
        if self.hooks:
            hooks = self.plan.hooks
            facts = {"hook": name, "plan": self.plan.path, **dataclasses.asdict(report.record)}
            began = time.monotonic()
            await run_hook(name, getattr(hooks, name), facts, hooks.deadline)
            report.hooks += time.monotonic() - began


def _refusal(record: RunRecord) -> Failure:
    """Of a run that has ended with it: what it says of the disk that was refused, or of the first one."""
    return Failure(next((disk.cause for disk in record.disks if is_refused_login(disk.cause)), record.cause))


def _record_failure(machine: Machine, report: RunReport, failure: BaseException) -> None:
    """A failure before the machine's own run has begun, which tells all others itself."""
    if report.record.ended is None:
        make_directory(machine.states)
        with contextlib.suppress(type(failure)), report.running():
            raise failure
