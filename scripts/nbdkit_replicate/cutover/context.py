# SPDX-License-Identifier: BSD-3-Clause
"""What the steps of a cutover have in common."""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..many.vcenters import VCenters
from ..messages import Failure
from ..plan.plan import Machine, Plan
from ..report.events import Listener
from ..run.interruption import Interruption
from ..vcenter.machine import VirtualMachine
from .journal import Journal, Step, write_journal

SHUTDOWN_BY_API = "api"


class StartedAgain(Failure):
    """Somebody has started the machine after it was off."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: the cutover has ended, and nothing has been handed over; what was copied of it is a restore "
                         "point like any other; the same command begins again")
        self.what = what


@dataclass(frozen=True)
class Options:
    """Durations are in seconds."""

    downtime: float
    shutdown: str = SHUTDOWN_BY_API  # or a command for a shell
    deadline: float = 300.0  # for shutting down
    shutdown_time: float | None = None  # that shutting down takes; None: as the last time
    force_off: bool = False
    then: str | None = None  # a command for a shell
    pull: bool = False
    verbose: bool = False


@dataclass
class Context:
    plan: Plan
    machine: Machine
    options: Options
    vcenters: VCenters
    interruption: Interruption
    listeners: Callable[[], Sequence[Listener]]  # for the events of a run
    vm: VirtualMachine
    journal: Journal
    notes: tuple[str, ...] = ()  # that have been said of the definition

    def go_to(self, step: Step, **fields: Any) -> None:
        """What the step says may be begun when this returns."""
        self.save(self.journal.with_step(step, **fields))

    def save(self, journal: Journal) -> None:
        write_journal(self.machine.states, journal)
        self.journal = journal
